/** Tables that are looked up by token ids beside the embedding: the vectors for each layer of Gemma 3n and 4. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { applied } from '../../scripts/models/after.js';
import { architecture } from '../../scripts/models/architectures.js';
import { decoderOf } from '../../scripts/models/decoder.js';
import { exporter } from '../../scripts/models/exporters.js';
import { SIZE } from '../../scripts/models/spec.js';
import { compile } from '../../src/compile/compile.js';
import { inspect } from '../../src/compile/inspect.js';
import { silentContext } from '../../src/log.js';
import { mix } from '../../src/mix/mix.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { nodesOf } from '../../src/onnx/ir/graph.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { storedBitsOfGraph } from '../../src/set/stored-bits-of-graph.js';
import { COMPILE } from '../support/compile.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { writeIds } from '../support/stories.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const model = join(root, 'model.onnx');
exportModel(decoderOf(architecture('gemma4'), exporter('optimum')), model);
const { vocabulary, hidden, perLayer } = SIZE;

it('are listed, and count as embedding', async () => {
  const { tables, budget, sizes } = await inspect({ model, recipe: { preset: 'deploy-int8' } });
  expect(tables).toEqual([{ at: 'embed_tokens_per_layer.weight', vocabulary, hidden: 2 * perLayer }]);
  expect(budget.embedding).toBe(4 * vocabulary * (hidden + 2 * perLayer));
  // Codes of 8 bits and a float16 scale for each 64 of them.
  expect(sizes['int8']?.budget.embedding).toBe((1 + 2 / 64) * vocabulary * (hidden + 2 * perLayer));
});

it.each([
  ['cpu', ['GatherBlockQuantized', 'GatherBlockQuantized']],
  ['browser', []],
] as const)('are looked up in packed codes, for %s', async (target, fused) => {
  const output = join(root, target);
  const given = { method: 'rtn', bits: [8], block: 32, embeddingBits: 4, target } as const;
  const recipe = parseRecipe(given, 'test');
  const { tables, precisions } = await compile({ ...COMPILE, model, output, recipe }, silentContext());
  expect(tables.map(({ name, tied, rows, cols }) => [name, tied, rows, cols])).toEqual([
    ['embedding', true, vocabulary, hidden],
    ['token_table', false, vocabulary, 2 * perLayer],
  ]);
  const graph = importModel(join(output, 'm_int8.onnx')).graph;
  const ops = [...nodesOf(graph)].map(({ op }) => op);
  expect(ops.filter((op) => op === 'GatherBlockQuantized')).toEqual(fused);
  expect([...graph.initializers].map(({ name }) => name)).not.toContain('embed_tokens_per_layer.weight');
  expect(precisions[0]?.probe?.kl).toBeLessThan(0.1);
});

it('count apart from the bits of a graph where they are nested', async () => {
  const output = join(root, 'nested');
  const given = { method: 'rtn', bits: [8, 4], block: 32, embeddingBits: { 4: 4 } } as const;
  const recipe = parseRecipe(given, 'test');
  const { precisions } = await compile({ ...COMPILE, model, output, recipe }, silentContext());
  for (const { bits, storedBitsPerWeight } of precisions)
    expect(storedBitsOfGraph(join(output, `m_int${bits}.onnx`))).toBeCloseTo(storedBitsPerWeight, 6);
});

it('have rows of the type that the graph reads, where weights are stored in float16 and made float32', async () => {
  const stored = fixture('models/mixtral-tiny/model.onnx');
  for (const embeddingBits of [8, { 8: 8 }] as const) {
    const output = join(root, `stored-${typeof embeddingBits}`);
    const given = { method: 'rtn', bits: [8], block: 32, embeddingBits, target: 'browser' } as const;
    const recipe = parseRecipe(given, 'test');
    const { precisions } = await compile({ ...COMPILE, model: stored, output, recipe }, silentContext());
    expect(precisions[0]?.probe?.kl).toBeLessThan(0.1);
  }
});

it('are read in float16 by the head and in float32 by look-ups', async () => {
  const half = await applied(model, 'float16', root, 0);
  const recipe = parseRecipe({ method: 'rtn', bits: [8, 4], block: 32, embeddingBits: { 8: 8, 4: 4 } }, 'test');
  for (const standalone of [false, true]) {
    const output = join(root, `half-${standalone}`);
    const { precisions } = await compile({ ...COMPILE, model: half, output, recipe, standalone }, silentContext());
    expect(precisions.map(({ probe }) => (probe?.kl ?? 1) < 0.2)).toEqual([true, true]);
  }
  const ids = writeIds(join(root, 'ids.jsonl'), [Int32Array.of(3, 1, 4, 1, 5, 9, 2, 6), Int32Array.of(2, 7, 1, 8)]);
  const search = { evaluations: 4, measure: { text: { ids }, original: half } };
  const asked = { set: join(root, 'half-false', 'm.json'), goal: { averageBits: 6 }, search };
  expect((await mix(asked, silentContext())).search?.kl).toBeLessThan(0.2);
});
