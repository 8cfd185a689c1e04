import { describe, expect, it } from '@jest/globals';
import type { ModelAnalysis } from '../../src/analysis/projection.js';
import { analyse } from '../../src/analysis/projections.js';
import { verify } from '../../src/onnx/ir/verify.js';
import { decoder } from '../support/decoder.js';
import { decoderModel, ffnModel, mergedModel } from '../support/graphs.js';
import { activations, attentions, FFN, HIDDEN, linears, VOCABULARY } from '../support/spellings.js';

/** `layers.0.gate [8, 12]` for each projection. */
const shapes = ({ projections }: ModelAnalysis): readonly string[] =>
  projections.map(({ id, k, n }) => `${id} [${k}, ${n}]`);

const FFN_SHAPES = [
  `layers.0.gate [${HIDDEN}, ${FFN}]`,
  `layers.0.up [${HIDDEN}, ${FFN}]`,
  `layers.0.down [${FFN}, ${HIDDEN}]`,
];

const layerIds = (layer: number, attention: readonly string[]): readonly string[] =>
  [...attention, 'gate', 'up', 'down'].map((role) => `layers.${layer}.${role}`);

describe('gated blocks', () => {
  it.each(Object.entries(linears))('are found with weights %s', (_, linear) => {
    const model = ffnModel({ linear });
    expect(verify(model)).toEqual([]);
    const analysis = analyse(model);
    expect(shapes(analysis)).toEqual(FFN_SHAPES);
    expect(analysis.refusals).toEqual([]);
    expect(analysis.activation).toBe('silu');
  });

  it.each(Object.entries(activations))('are found with %s', (_, [name, activation]) => {
    for (const swapped of [false, true]) {
      const analysis = analyse(ffnModel({ activation, swapped }));
      expect(shapes(analysis)).toEqual(FFN_SHAPES);
      expect(analysis.projections.map(({ weight }) => weight.source.name)).toEqual(['g', 'u', 'd']);
      expect(analysis.activation).toBe(name);
    }
  });

  it('say how each weight is stored', () => {
    const layoutOf = (name: keyof typeof linears): string | undefined =>
      analyse(ffnModel({ linear: linears[name] })).projections[0]?.weight.layout;
    expect(layoutOf('direct')).toBe('KN');
    expect(layoutOf('einsum')).toBe('KN');
    expect(layoutOf('einsum of a transpose, weight first')).toBe('NK');
    expect(layoutOf('transpose')).toBe('NK');
    expect(layoutOf('transpose without perm')).toBe('NK');
    expect(layoutOf('transposed twice')).toBe('KN');
    expect(layoutOf('gemm with transB')).toBe('NK');
    expect(layoutOf('gemm with transB of a transpose')).toBe('KN');
  });

  it('keep alpha of a fused product', () => {
    const { projections } = analyse(ffnModel({ linear: linears['fused, transB and alpha'] }));
    expect(projections.map(({ sites }) => sites[0]?.alpha)).toEqual([0.5, 0.5, 0.5]);
  });

  it('share a group exactly where they share an input', () => {
    const { projections } = analyse(ffnModel({ linear: linears['gemm between reshapes'] }));
    expect(projections.map(({ group }) => group)).toEqual(['layers.0.ffn-in', 'layers.0.ffn-in', 'layers.0.down-in']);
  });
});

describe('decoders', () => {
  it.each(Object.entries(attentions))('have their attention found: %s', (name, attention) => {
    const model = decoderModel({ attention });
    expect(verify(model)).toEqual([]);
    const roles = name.includes('packed') ? ['qkv', 'o'] : ['q', 'k', 'v', 'o'];
    const analysis = analyse(model);
    expect(analysis.projections.map(({ id }) => id)).toEqual([...layerIds(0, roles), ...layerIds(1, roles), 'head']);
    for (const { layer, role, weight } of analysis.projections) {
      if (roles.includes(role)) expect(weight.source.name).toBe(`${role}${layer}`);
    }
    expect(analysis.refusals).toEqual([]);
    expect(analysis.layers).toBe(2);
  });

  it.each([
    ['tied', 'tied', 'NK', 'NK'],
    ['head owns', 'tied', 'KN', 'KN'],
    ['copy', 'copy', 'KN', 'NK'],
    ['untied', 'untied', 'KN', 'NK'],
  ] as const)('have a head that is %s', (tie, relation, headLayout, tableLayout) => {
    const { embedding, projections } = analyse(decoderModel({ tie }));
    const head = projections.find(({ role }) => role === 'head');
    expect(head).toMatchObject({ id: 'head', layer: -1, k: HIDDEN, n: VOCABULARY });
    expect(head?.weight.layout).toBe(headLayout);
    expect(embedding).toMatchObject({ vocabulary: VOCABULARY, hidden: HIDDEN, head: relation });
    expect(embedding?.weight.layout).toBe(tableLayout);
  });

  it('merged into one If have one projection per weight and a site per branch', () => {
    const model = mergedModel();
    expect(verify(model)).toEqual([]);
    const analysis = analyse(model);
    const roles = ['q', 'k', 'v', 'o'];
    expect(analysis.projections.map(({ id }) => id)).toEqual([...layerIds(0, roles), ...layerIds(1, roles), 'head']);
    expect(analysis.projections.map(({ sites }) => sites.length)).toEqual(Array.from({ length: 15 }, () => 2));
    expect(new Set(analysis.projections[0]?.sites.map(({ node }) => node.graph.name))).toEqual(
      new Set(['then', 'else']),
    );
    expect(analysis.embedding?.nodes).toHaveLength(2);
    expect(analysis.embedding?.head).toBe('tied');
    expect(analysis.refusals).toEqual([]);
  });

  it.each([false, true])('built by hand are read as they were meant (merged: %s)', (merged) => {
    const { model, analysis } = decoder({ layers: 3, hidden: 16, ffn: 48, vocabulary: 40, merged });
    const found = analyse(model);
    const view = ({ projections }: ModelAnalysis): unknown =>
      projections.map(({ id, layer, role, k, n, group, weight, sites }) => ({
        ...{ id, layer, role, k, n, group, layout: weight.layout, source: weight.source.name },
        sites: sites.map(({ node }) => node.name),
      }));
    expect(view(found)).toEqual(view(analysis));
  });
});
