/**
 * Shifts, and scales that cannot be folded, as nodes of the graph: what is written computes what was trained. The block's output
 * on ONNX Runtime, against that of the float model, errs as much as the training graph said.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { executionOf } from '../../src/analysis/execution.js';
import { analyse } from '../../src/analysis/projections.js';
import { compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { nodesOf, type Value } from '../../src/onnx/ir/graph.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { parseRecipe, type RecipeInput } from '../../src/recipe/recipe.js';
import type { BlockTraining } from '../../src/report/page/data.js';
import { slice } from '../../src/set/slice.js';
import { findTrainBlocks } from '../../src/train/blocks/block.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';
import { valuesOf } from '../support/values.js';

const context = silentContext();
const windows = heldWindows(2);
let root: string;
let ids: string;
/** A model whose norms are outputs as well, so that nothing can be folded into them. */
let unfolded: string;
beforeAll(() => {
  root = temporaryFolder();
  ids = writeIds(join(root, 'ids.jsonl'), windows);
  unfolded = join(root, 'unfolded.onnx');
  const model = importModel(mistral);
  const rw = new Rewriter(model);
  const { blocks } = findTrainBlocks(executionOf(model.graph), analyse(model).projections);
  for (const { inputs } of blocks)
    rw.addOutput(model.graph, inputs[0] as Value, { dtype: 'float32', shape: undefined });
  exportModel(model, unfolded);
});
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
async function compiled(model: string, train: RecipeInput['train']): Promise<string> {
  const output = join(root, `set${count++}`);
  const recipe = parseRecipe(
    {
      method: 'matquant',
      bits: [8, 4, 2],
      lambda: { 8: 0, 4: 0, 2: 1 },
      decode: 'tied',
      tables: 'fp16',
      block: 32,
      accuracyLevel: 0,
      fillText: false,
      // All rows in every step, so that the loss is that of the whole text.
      train: { steps: 12, batch: 1e6, explicit: true, rates: { shift: 0.1, scale: 0.02 }, ...train },
    },
    'test',
  );
  await compile({ ...COMPILE, model, output, recipe, text: { ids } }, context);
  return output;
}

const trainingOf = (folder: string): readonly BlockTraining[] =>
  (JSON.parse(readFileSync(join(folder, 'm.report.json'), 'utf8')) as { compiled: { training: BlockTraining[] } })
    .compiled.training;

/** ‖F̂ − F‖² / ‖F‖² of the first block. */
async function blockError(path: string): Promise<number> {
  const model = importModel(mistral);
  const { blocks } = findTrainBlocks(executionOf(model.graph), analyse(model).projections);
  const name = blocks[0]?.output.name as string;
  const of = (from: string): Promise<Float32Array> => valuesOf(importModel(from), name, windows);
  const [exact, found] = [await of(mistral), await of(path)];
  const square = (values: Float32Array): number => values.reduce((sum, value) => sum + value * value, 0);
  return square(found.map((value, at) => value - (exact[at] as number))) / square(exact);
}

const opsOf = (path: string): readonly string[] =>
  [...nodesOf(importModel(path).graph)].map(({ op, name }) => `${op} ${name.split('/').at(-1)}`);
const made = (path: string, what: string): number => opsOf(path).filter((each) => each === what).length;

describe('explicit nodes', () => {
  it.each([
    ['shifts', () => mistral, ['clip', 'shift'], { 'Sub shifted': 4, 'Mul unscaled': 0 }],
    ['shifts behind folded scales', () => mistral, ['clip', 'scale', 'shift'], { 'Sub shifted': 4, 'Mul unscaled': 0 }],
    ['scales that cannot be folded', () => unfolded, ['clip', 'scale'], { 'Sub shifted': 0, 'Mul unscaled': 2 }],
    ['both', () => unfolded, ['scale', 'shift'], { 'Sub shifted': 4, 'Mul unscaled': 2 }],
  ] as const)('%s compute what was trained', async (_, model, learn, nodes) => {
    const folder = await compiled(model(), { learn });
    const graph = join(folder, 'm_int2.onnx');
    for (const [what, expected] of Object.entries(nodes)) expect([what, made(graph, what)]).toEqual([what, expected]);
    const [first] = trainingOf(folder);
    // Something was learned: a few percent at least, thirty times what the next line allows.
    expect(first?.end).toBeLessThan(0.99 * (first?.start ?? 0));
    // Scales are stored in float16, with errors up to 2^-12 each.
    expect(Math.abs((await blockError(graph)) / (first?.end ?? 0) - 1)).toBeLessThan(1e-3);
    // The parent is nearly exact, whatever was shifted: what shifts take is given back.
    expect(await blockError(join(folder, 'm_int8.onnx'))).toBeLessThan(0.02);
    const alone = join(root, `alone${count++}.onnx`);
    await slice({ set: join(folder, 'm.json'), bits: 2, output: alone, standalone: true, slice: 'prefix' }, context);
    expect((await blockError(alone)) / (await blockError(graph))).toBeCloseTo(1, 4);
  });

  it('are not there without being asked for', async () => {
    const folder = await compiled(unfolded, { learn: ['clip', 'scale'], explicit: false, steps: 2 });
    const graph = join(folder, 'm_int2.onnx');
    expect(made(graph, 'Sub shifted') + made(graph, 'Mul unscaled')).toBe(0);
  });

  it.each([
    [{ learn: ['clip', 'shift'] }, {}, /train.explicit/],
    [{ learn: ['shift'], explicit: true }, { decode: 'ab', distill: {} }, /original graph/],
    [{ learn: ['shift'], explicit: true, prefix: 'quantized' }, {}, /supports no shifts/],
    [{ learn: ['clip'], explicit: true }, {}, /train.explicit needs/],
    [{ learn: ['tables'], explicit: true }, { method: 'best', decode: 'ab' }, /no effect on solved codes/],
  ] as const)('are refused where they cannot be: %j', (train, recipe, message) => {
    expect(() => parseRecipe({ method: 'matquant', decode: 'tied', ...recipe, train }, 'here')).toThrow(message);
  });
});
