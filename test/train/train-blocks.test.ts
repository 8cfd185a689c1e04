/** Blocks trained by gradient through compile: what is stored, what the report says, and what a recipe may not ask for. */
import { readFileSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type CompileOptions, compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { KernelPool } from '../../src/kernels/pool.js';
import { silentContext } from '../../src/log.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { blocksOf } from '../../src/quant/grid.js';
import type { Precision } from '../../src/quant/precision.js';
import { sliceCodes } from '../../src/quant/slice.js';
import { type DecodeTable, decodeTable } from '../../src/quant/tables.js';
import { PRESETS } from '../../src/recipe/presets.js';
import { parseRecipe, presetOf, type RecipeInput } from '../../src/recipe/recipe.js';
import type { BlockTraining } from '../../src/report/page/data.js';
import { slice } from '../../src/set/slice.js';
import type { Nested } from '../../src/solve/kernel/options.js';
import { measure } from '../../src/solve/measure.js';
import { openSource } from '../../src/source/source.js';
import { trainBlocks } from '../../src/train/train-blocks.js';
import { COMPILE } from '../support/compile.js';
import { writeOutliers } from '../support/outliers.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';
import { valuesOf } from '../support/values.js';

const context = silentContext();
const windows = heldWindows(24);
jest.setTimeout(240_000);

let root: string;
let ids: string;
let held: string;
/** Has channels that ranges and scales gain much on, so that what is compared differs by a factor. */
let uneven: string;
beforeAll(() => {
  root = temporaryFolder();
  uneven = join(root, 'uneven.onnx');
  writeOutliers(mistral, uneven, 8);
  ids = writeIds(join(root, 'ids.jsonl'), windows.slice(8));
  held = writeIds(join(root, 'held.jsonl'), windows.slice(0, 8));
});
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
async function compiled(recipe: RecipeInput, changes: Partial<CompileOptions> = {}): Promise<string> {
  const output = join(root, `set${count++}`);
  const options = {
    ...COMPILE,
    model: uneven,
    output,
    recipe: parseRecipe({ block: 32, accuracyLevel: 0, fillText: false, ...recipe }, 'test'),
    text: { ids },
  };
  await compile({ ...options, ...changes }, context);
  return output;
}

const matquant = (train: RecipeInput['train']): RecipeInput => ({
  ...presetOf('paper-matquant-gemma'),
  train: { steps: 40, batch: 256, rates: { clip: 0.3 }, ...train },
});

/** KL to the source of a slice. */
async function klOf(folder: string, bits: number): Promise<number> {
  const output = join(folder, `paper${bits}.onnx`);
  const set = join(folder, 'm.json');
  await slice({ set, bits, output, standalone: true, slice: 'paper' }, context);
  const { candidates } = await evaluate(
    {
      reference: uneven,
      candidates: [output],
      text: { ids: held },
      window: 256,
      threads: 2,
      memoryBytes: 2e9,
      speed: false,
    },
    context,
  );
  return candidates[0]?.kl ?? Number.NaN;
}

const trainingOf = (folder: string): readonly BlockTraining[] =>
  (JSON.parse(readFileSync(join(folder, 'm.report.json'), 'utf8')) as { compiled: { training: BlockTraining[] } })
    .compiled.training;

describe('paper-matquant-gemma', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await compiled(matquant({}));
  });

  it('is better at int2 than slices of plain rounding, as MatQuant says, and pays for it at int8', async () => {
    const plain = await compiled({ ...presetOf('baseline-sliced-minmax'), bits: [8, 4, 2] });
    expect(await klOf(folder, 2)).toBeLessThan(await klOf(plain, 2));
    expect(await klOf(folder, 8)).toBeGreaterThan(10 * (await klOf(plain, 8)));
  });

  it('reports the loss of every step of every block', () => {
    const training = trainingOf(folder);
    expect(training.map(({ layer }) => layer)).toEqual([0, 1]);
    for (const { losses, start, end, fallback, retries } of training) {
      expect(losses).toHaveLength(40);
      expect(end).toBeLessThan(0.75 * start);
      expect([fallback, retries]).toEqual([[], 0]);
    }
  });

  it('is the same files with one thread as with two', async () => {
    const again = await compiled(matquant({}), { threads: 1 });
    for (const name of [basename(dataIn(folder)), 'm.report.json'])
      expect(readFileSync(join(again, name)).equals(readFileSync(join(folder, name)))).toBe(true);
  });

  it('runs as the float model does with the fake-quantized weights', async () => {
    const path = join(folder, 'frozen.onnx');
    await slice({ set: join(folder, 'm.json'), bits: 4, output: path, standalone: true, slice: 'paper' }, context);
    const [found, expected] = [await logitsOf(path), await logitsOf(uneven, await fakeQuantized(4))];
    // Scales are stored in float16, with errors up to 2^-12 each: far less than from one precision to the next.
    const other = await logitsOf(uneven, await fakeQuantized(2));
    expect(distance(found, expected)).toBeLessThan(0.02 * distance(found, other));
  });

  it('trains on what quantized layers hand on', async () => {
    const other = await compiled(matquant({ prefix: 'quantized', steps: 5 }));
    const [first, second] = trainingOf(other);
    const [, plain] = trainingOf(folder);
    expect(first?.start).toBe(trainingOf(folder)[0]?.start);
    expect(second?.start).not.toBe(plain?.start);
  });
});

describe('ranges from the grid', () => {
  it('are much better at int2 than plain slices, without a step', async () => {
    const folder = await compiled({ ...presetOf('paper-single-precision') });
    const plain = await compiled({ ...presetOf('baseline-sliced-minmax'), bits: [8, 4, 2] });
    expect(await klOf(folder, 2)).toBeLessThan(0.7 * (await klOf(plain, 2)));
  });

  it('are where steps go on from', async () => {
    const train = { steps: 1, batch: 256 };
    const [grid, plain] = [
      trainingOf(await compiled(matquant({ ...train, start: 'grid' }))),
      trainingOf(await compiled(matquant(train))),
    ];
    for (const [at, { start }] of grid.entries()) expect(start).toBeLessThan(0.7 * (plain[at]?.start ?? 0));
  });
});

describe('the terms of a recipe', () => {
  type Lambda = Readonly<Record<number, number>>;
  type Pairs = readonly { readonly from: Precision; readonly to: Precision }[];
  const gemma = presetOf('paper-matquant-gemma');
  /** Loss of every block before any step: what the terms add up to. */
  const startOf = async (
    lambda: Lambda,
    codistill: Pairs = [],
    more: RecipeInput = {},
    model = uneven,
  ): Promise<readonly [number, number]> => {
    const train = { ...gemma.train, steps: 1, batch: 256, ...(codistill.length > 0 && { codistill }) };
    const folder = await compiled({ ...gemma, ...more, lambda, train } as RecipeInput, { model });
    return trainingOf(folder).map(({ start }) => start) as unknown as [number, number];
  };
  const taught = { from: 8, to: 4 } as const;
  const taughtMore = { from: 8, to: 2 } as const;
  const zero = { 8: 0, 4: 0, 2: 0 };

  it('are the losses of the precisions times their weights', async () => {
    const bits = [8, 6, 4, 3, 2] as const;
    const lambda = { 8: 0.1, 6: 0.2, 4: 0.3, 3: 0.4, 2: 0.5 };
    const none = { 8: 0, 6: 0, 4: 0, 3: 0, 2: 0 };
    const whole = await startOf(lambda, [], { bits });
    const alone = await Promise.all(bits.map((each) => startOf({ ...none, [each]: 1 }, [], { bits })));
    for (const at of [0, 1] as const) {
      const sum = bits.reduce((total, each, index) => total + lambda[each] * (alone[index]?.[at] ?? Number.NaN), 0);
      expect(Math.abs((whole[at] as number) / sum - 1)).toBeLessThan(1e-4);
      // Each precision has a loss of its own, several times that of the next larger one.
      for (const [index, each] of alone.entries())
        if (index > 0) expect(each[at]).toBeGreaterThan(1.5 * (alone[index - 1]?.[at] ?? Number.NaN));
    }
  });

  it('have one more for every pair, which weighs as much as the one it is beside', async () => {
    // int8 is nearly the float block beside int4 and int2, so a pair is nearly the term of the smaller precision once more.
    const lambda = { ...zero, 4: 10, 2: 1 };
    const [plain, first, second, both] = await Promise.all([
      startOf(lambda),
      startOf(lambda, [taught]),
      startOf(lambda, [taughtMore]),
      startOf(lambda, [taught, taughtMore]),
    ]);
    const [four, two] = [await startOf({ ...zero, 4: 10 }), await startOf({ ...zero, 2: 1 })];
    for (const at of [0, 1] as const) {
      expect((first[at] - plain[at]) / four[at]).toBeGreaterThan(0.5);
      expect((first[at] - plain[at]) / four[at]).toBeLessThan(2);
      expect((second[at] - plain[at]) / two[at]).toBeGreaterThan(0.5);
      expect((second[at] - plain[at]) / two[at]).toBeLessThan(2);
      expect(Math.abs((first[at] + second[at] - plain[at]) / both[at] - 1)).toBeLessThan(1e-4);
    }
  });

  it('are of the slice that is asked for: the extra level makes int2 much better', async () => {
    // Of the model without uneven channels, whose weights lie about the middle. Measured: .30 and .59 of the loss without it.
    const alone = { ...zero, 2: 1 };
    const plain = await startOf(alone, [], {}, mistral);
    const extra = await startOf(alone, [], { slice: 'extra' }, mistral);
    for (const at of [0, 1] as const) expect(extra[at]).toBeLessThan(plain[at]);
  });
});

describe('the objective under Gram matrices', () => {
  it('trains every block, from statistics alone', async () => {
    const folder = await compiled(matquant({ objective: 'gram' }));
    const training = trainingOf(folder);
    expect(training.map(({ layer }) => layer)).toEqual([0, 1]);
    for (const { start, end, losses } of training) {
      expect(losses).toHaveLength(40);
      expect(end).toBeLessThan(0.75 * start);
    }
  });
});

describe('the equivalent transform', () => {
  it('is a set that runs without any node for it', async () => {
    const nodesOf = (path: string): number => importModel(path).graph.nodes.length;
    const train = { steps: 20, batch: 256, rates: { scale: 0.1 } };
    const scaled = await compiled({ ...presetOf('paper-omniquant-8'), train: { ...train, learn: ['scale'] } });
    const plain = await compiled({ ...presetOf('paper-omniquant-8'), train: { steps: 1 } });
    expect(nodesOf(join(scaled, 'm_int8.onnx'))).toBe(nodesOf(join(plain, 'm_int8.onnx')));
    expect(distance(await logitsOf(join(scaled, 'm_int8.onnx')), await logitsOf(uneven))).toBeLessThan(0.05);
    for (const { start, end } of trainingOf(scaled)) expect(end).toBeLessThan(0.5 * start);
  });
});

describe('tables of solved codes', () => {
  const solved: RecipeInput = { method: 'best', rounds: 0, sweeps: 0, bits: [4, 2] };
  it('get better on the output of the block, precision by precision', async () => {
    const folder = await compiled({
      ...solved,
      train: { learn: ['tables'], steps: 60, batch: 256, rates: { tables: 0.03 } },
    });
    const training = trainingOf(folder);
    expect(training.map(({ layer, bits }) => [layer, bits])).toEqual([
      [0, 2],
      [0, 4],
      [1, 2],
      [1, 4],
    ]);
    // Measured: .66 to .78.
    for (const { start, end } of training) expect(end).toBeLessThan(0.92 * start);
    const plain = await compiled(solved);
    const [trained, before] = [await logitsOf(join(folder, 'm_int2.onnx')), await logitsOf(join(plain, 'm_int2.onnx'))];
    const exact = await logitsOf(uneven);
    // The graph has what was trained, and is not worse for it.
    expect(distance(trained, before)).toBeGreaterThan(0.01);
    expect(distance(trained, exact)).toBeLessThan(1.5 * distance(before, exact));
  });

  it('are taken from the work folder when they are there', async () => {
    const work = join(root, 'work');
    const train: RecipeInput['train'] = { learn: ['tables'], steps: 8, batch: 256, prefix: 'quantized' };
    const first = await compiled({ ...solved, train }, { work });
    const again = await compiled({ ...solved, train }, { work });
    expect(readFileSync(dataIn(again)).equals(readFileSync(dataIn(first)))).toBe(true);
  });
});

/** Norm of the difference over the norm of the second. */
function distance(a: Float32Array, b: Float32Array): number {
  const norm = (values: Float32Array): number => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0));
  return norm(a.map((value, at) => value - (b[at] as number))) / norm(b);
}

/** What the training graph computes with at one precision, by projection. */
async function fakeQuantized(bits: Precision): Promise<ReadonlyMap<string, Float32Array>> {
  const recipe = parseRecipe({ block: 32, accuracyLevel: 0, fillText: false, ...matquant({}) }, 'test');
  const options = { recipe, text: { ids }, machine: { threads: 1, memoryBytes: 2e9 }, seed: 0 };
  const pool = new KernelPool(1);
  const source = openSource(uneven, recipe);
  const trained = await trainBlocks(source, await measure(source, options, context), options, pool, context);
  const weights = source.chosen.map(({ projection: { id, k } }) => {
    const nested = trained?.find(id) as Nested;
    const sliced = sliceCodes(nested.codes, 'paper', bits);
    return [id, decodeTable(sliced, blocksOf(k, 32), nested.tables.get(bits) as DecodeTable)] as const;
  });
  trained?.close();
  await pool.close();
  return new Map(weights);
}

/** Logits of one window, with other weights for projections where they are given. */
const logitsOf = (path: string, weights?: ReadonlyMap<string, Float32Array>): Promise<Float32Array> =>
  valuesOf(importModel(path), 'logits', windows.slice(0, 1), weights);

describe('recipes that cannot be trained', () => {
  it.each([
    [{ method: 'best', train: {} }, /not trained by gradient/],
    [{ method: 'matquant', decode: 'tied', train: { learn: ['tables'] } }, /no precision has tables/],
    [{ method: 'omniquant', bits: [4], train: { learn: ['scale'] }, distill: {} }, /original weights/],
    [{ method: 'omniquant', bits: [8, 4] }, /one precision/],
    [{ method: 'matquant', train: { codistill: [{ from: 2, to: 8 }] } }, /cannot learn from int2/],
    [{ method: 'matquant', train: { steps: 0 } }, /train.steps can be 0 only if/],
    [{ method: 'matquant', train: { steps: 0, start: 'grid', learn: ['clip', 'scale'] } }, /can be 0 only if/],
    [{ method: 'matquant', train: { objective: 'gram', learn: ['clip', 'scale'] } }, /need the objective "block"/],
    [{ method: 'matquant', train: { objective: 'gram', prefix: 'quantized' } }, /come from float layers/],
    [{ method: 'best', train: { objective: 'gram', learn: ['tables'] } }, /already optimal under the Gram matrix/],
    [{ method: 'best', train: { start: 'grid', learn: ['tables'] } }, /its own grid/],
  ] as const)('%j', (recipe, message) => {
    expect(() => parseRecipe(recipe, 'here')).toThrow(message);
  });

  it('presets of the papers are recipes', () => {
    for (const name of Object.keys(PRESETS)) expect(parseRecipe(presetOf(name), name).bits.length).toBeGreaterThan(0);
  });
});
