/** The finder on real exports, as they come and as ONNX Runtime writes them after its own optimization. */
import { copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { InferenceSession } from 'onnxruntime-node';
import type { ModelAnalysis, Role } from '../../src/analysis/projection.js';
import { analyse } from '../../src/analysis/projections.js';
import { importModel } from '../../src/onnx/convert/import.js';
import type { Node } from '../../src/onnx/ir/graph.js';
import { verify } from '../../src/onnx/ir/verify.js';
import { fixture, temporaryFolder } from '../support/paths.js';

const MODELS = [
  { name: 'mistral-656k', layers: 2, hidden: 128, ffn: 384, activation: 'silu', attention: [128, 64] },
  { name: 'gemma3-tiny', layers: 4, hidden: 128, ffn: 512, activation: 'gelu-tanh', attention: [128, 64] },
] as const;

const ROLES: readonly Role[] = ['q', 'k', 'v', 'o', 'gate', 'up', 'down'];

const open = (path: string): ModelAnalysis => {
  const model = importModel(path);
  expect(verify(model)).toEqual([]);
  const analysis = analyse(model);
  return analysis;
};

/** Layer and role that the exporter wrote down: in the node's name, or in the scopes of its metadata. The finder reads neither. */
const written = ({ name, metadata }: Node): string | undefined => {
  const text = `${name} ${metadata.get('pkg.torch.onnx.name_scopes') ?? ''}`;
  const found = /layers\.(\d+)[./](?:mlp|self_attn)[./](\w+)_proj/.exec(text);
  return found === null ? undefined : `layers.${found[1]}.${found[2]}`;
};

describe.each(MODELS)('$name', ({ name, layers, hidden, ffn, activation, attention: [wide, narrow] }) => {
  const path = fixture(`models/${name}/model.onnx`);
  const ids = [...Array(layers).keys()].flatMap((layer) => ROLES.map((role) => `layers.${layer}.${role}`));

  it('has seven projections in each layer and a head, and nothing is refused', () => {
    const analysis = open(path);
    expect(analysis.projections.map(({ id }) => id)).toEqual([...ids, 'head']);
    expect(analysis.refusals).toEqual([]);
    expect(analysis).toMatchObject({ layers, activation, embedding: { vocabulary: 2048, hidden, head: 'tied' } });
    const shapes = new Map(analysis.projections.slice(0, 7).map(({ role, k, n }) => [role, [k, n]]));
    expect(Object.fromEntries(shapes)).toEqual({
      ...{ q: [hidden, wide], k: [hidden, narrow], v: [hidden, narrow], o: [wide, hidden] },
      ...{ gate: [hidden, ffn], up: [hidden, ffn], down: [ffn, hidden] },
    });
  });

  it('has the roles that the exporter wrote down', () => {
    for (const { id, role, sites } of open(path).projections) {
      if (role !== 'head') expect(sites.map(({ node }) => written(node))).toEqual([id]);
    }
  });

  it.each(['basic', 'extended', 'all'] as const)('is recognised after ONNX Runtime optimized it: %s', async (level) => {
    const folder = temporaryFolder();
    const saved = join(folder, 'model.onnx');
    if (existsSync(`${path}.data`)) copyFileSync(`${path}.data`, `${saved}.data`);
    const options = { graphOptimizationLevel: level, optimizedModelFilePath: saved, logSeverityLevel: 3 } as const;
    await (await InferenceSession.create(path, options)).release();
    const analysis = open(saved);
    expect(analysis.projections.map(({ id }) => id).sort()).toEqual([...ids, 'head'].sort());
    expect(analysis.refusals).toEqual([]);
    expect(analysis.activation).toBe(activation);
    expect(analysis.embedding?.head).toBe('copy');
  });
});
