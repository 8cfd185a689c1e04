/** The equivalent transform leaves the float model the same function, whatever s and t. */
import { beforeAll, describe, expect, it } from '@jest/globals';
import { executionOf } from '../../../src/analysis/execution.js';
import { analyse } from '../../../src/analysis/projections.js';
import { foldScale } from '../../../src/emit/fold-scale.js';
import { loadRows } from '../../../src/kernels/load-rows.js';
import { KernelPool } from '../../../src/kernels/pool.js';
import { importModel } from '../../../src/onnx/convert/import.js';
import type { Model } from '../../../src/onnx/ir/graph.js';
import { Rewriter } from '../../../src/onnx/rewrite/rewriter.js';
import { storedWeight } from '../../../src/solve/solve-projections.js';
import { findTrainBlocks, projectionsOf } from '../../../src/train/blocks/block.js';
import { foldPlaces } from '../../../src/train/blocks/fold-scale.js';
import { scaleNamesOf } from '../../../src/train/blocks/learnables.js';
import { factorsOf, inverseOf, inverted, scaledWeights } from '../../../src/train/blocks/transform.js';
import { noise } from '../../support/decoder.js';
import { gemma3, mistral } from '../../support/stories.js';
import { valuesOf } from '../../support/values.js';

const ids = Int32Array.from({ length: 24 }, (_, at) => 3 + ((at * 7919) % 300));

const logitsOf = (model: Model, weights: ReadonlyMap<string, Float32Array>): Promise<Float32Array> =>
  valuesOf(model, 'logits', [ids], weights);

const largest = (values: Float32Array): number => values.reduce((most, each) => Math.max(most, Math.abs(each)), 0);

describe.each([
  ['mistral-656k', mistral],
  ['gemma3-tiny', gemma3],
])('scales in %s', (_, path) => {
  const pool = new KernelPool(1);
  let plain: Float32Array;
  beforeAll(async () => {
    plain = await logitsOf(importModel(path), new Map());
  });

  it('fold into norms and weights exactly', async () => {
    const model = importModel(path);
    const { blocks } = findTrainBlocks(executionOf(model.graph), analyse(model).projections);
    expect(blocks.length).toBeGreaterThan(1);
    const weights = new Map<string, Float32Array>();
    const nodes = model.graph.nodes.length;
    for (const [at, block] of blocks.entries()) {
      const { input, hidden } = scaleNamesOf(block.id);
      const learned = new Map([
        [input, noise(block.gate.k, at + 1)],
        [hidden, noise(block.down.k, at + 50)],
      ]);
      for (const projection of projectionsOf(block)) {
        const stored = await loadRows(pool, storedWeight(projection));
        const scaled = scaledWeights(stored, projection.k, factorsOf(block, projection, learned));
        weights.set(projection.id, scaled);
        const back = scaledWeights(scaled, projection.k, inverted(factorsOf(block, projection, learned)));
        expect(largest(back.map((value, i) => value - (stored[i] as number)))).toBeLessThan(1e-6 * largest(stored));
      }
      const places = foldPlaces(block);
      expect(places).toHaveLength(1);
      foldScale(new Rewriter(model), {
        id: block.id,
        places: places ?? [],
        inverse: inverseOf(block, learned) as Float32Array,
      });
    }
    // At most one node for each norm whose factor is computed, and that on constants alone.
    expect(model.graph.nodes.length - nodes).toBeLessThanOrEqual(blocks.length);
    const folded = await logitsOf(model, weights);
    expect(largest(folded.map((value, at) => value - (plain[at] as number))) / largest(plain)).toBeLessThan(1e-4);
    const half = await logitsOf(model, new Map());
    expect(largest(half.map((value, at) => value - (plain[at] as number))) / largest(plain)).toBeGreaterThan(0.01);
  });

  it('stay where somebody else reads the norm', () => {
    const model = importModel(path);
    const { blocks } = findTrainBlocks(executionOf(model.graph), analyse(model).projections);
    const [block] = blocks;
    const rw = new Rewriter(model);
    rw.insert(model.graph, { op: 'Neg', inputs: [block?.inputs[0]], name: 'reader' });
    expect(block && foldPlaces(block)).toBeUndefined();
  });
});
