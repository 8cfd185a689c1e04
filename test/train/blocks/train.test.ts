/** Training of one block: the losses of PyTorch, the same numbers whatever the threads, and the way back. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { TrainingSession } from '../../../src/autodiff/training-session.js';
import type { Precision } from '../../../src/quant/precision.js';
import { createRandom } from '../../../src/random.js';
import { ortRuntime } from '../../../src/runtime/ort.js';
import { floats } from '../../../src/runtime/runtime.js';
import { blockRequest, type Student } from '../../../src/train/blocks/block-graph.js';
import { clipStudent } from '../../../src/train/blocks/clip-student.js';
import { freezeClipped, frozenWeights } from '../../../src/train/blocks/freeze.js';
import { gramRequest } from '../../../src/train/blocks/gram-graph.js';
import { feedsOf, type LearnKind, type StudentPlan } from '../../../src/train/blocks/learnables.js';
import { type Term, termsOf } from '../../../src/train/blocks/objective.js';
import { RowStore } from '../../../src/train/blocks/rows.js';
import {
  rowBatches,
  type TrainedBlock,
  type TrainOptions,
  trainBlock,
  WHOLE,
} from '../../../src/train/blocks/train.js';
import { type BlockWeights, type BuiltBlock, gatedBlock } from '../../support/block.js';
import { noise } from '../../support/decoder.js';
import { fixture } from '../../support/paths.js';

interface Numbers {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

interface Fixture {
  readonly block: number;
  readonly rate: number;
  readonly lambda: Readonly<Record<number, number>>;
  readonly x: Numbers;
  readonly weights: Readonly<Record<'gate' | 'up' | 'down', Numbers>>;
  readonly losses: readonly number[];
  readonly upper: Readonly<Record<'gate' | 'up' | 'down', Numbers>>;
}

const made = JSON.parse(readFileSync(fixture('calibrate/block-training.json'), 'utf8')) as Fixture;
const rowsOf = (name: 'gate' | 'up' | 'down'): Float32Array => Float32Array.from(made.weights[name].values);
const weights: BlockWeights = {
  hidden: 32,
  ffn: 48,
  gate: rowsOf('gate'),
  up: rowsOf('up'),
  down: rowsOf('down'),
};
const X = Float32Array.from(made.x.values);

const plan = (changes: Partial<StudentPlan> = {}): StudentPlan => ({
  bits: [8, 4, 2],
  parent: 8,
  blockOf: () => made.block,
  slice: 'paper',
  symmetric: false,
  learn: new Set<LearnKind>(['clip']),
  start: 4,
  ...changes,
});
const terms = termsOf([8, 4, 2], made.lambda);
const options: TrainOptions = {
  steps: 50,
  rates: { clip: made.rate, scale: 0.01, shift: 0.01, rounding: 0.005, tables: 0.005 },
  schedule: 'constant',
  warmUp: 0,
  machine: { threads: 1, memoryBytes: 1e9 },
};

interface Run {
  readonly built?: BuiltBlock;
  readonly student?: Student;
  readonly terms?: readonly Term[];
  readonly options?: Partial<TrainOptions>;
}

async function trained(run: Run = {}): Promise<TrainedBlock> {
  const { model, execution, block } = run.built ?? gatedBlock(weights);
  const student = run.student ?? clipStudent(block, plan());
  const rows = new RowStore(32, 3, '', 1e9);
  rows.append(X);
  const request = blockRequest(model, execution, block, student, run.terms ?? terms);
  const batches = rowBatches(block, { float: rows }, 96, createRandom(1));
  return trainBlock(ortRuntime, request, student.learnables, batches, {
    ...options,
    ...run.options,
  });
}

describe('50 steps of MatQuant', () => {
  it.each(['KN', 'NK'] as const)('have the losses of PyTorch within 1e-3 (%s)', async (layout) => {
    const { losses, learned } = await trained({ built: gatedBlock(weights, layout) });
    expect(losses).toHaveLength(50);
    losses.forEach((loss, at) => {
      expect(Math.abs(loss / (made.losses[at] as number) - 1)).toBeLessThan(1e-3);
    });
    const upper = learned.get('layers.0.gate/upper') as Float32Array;
    upper.forEach((value, at) => {
      expect(Math.abs(value - (made.upper.gate.values[at] as number))).toBeLessThan(0.05);
    });
  });

  it('are the same numbers with one thread and with two', async () => {
    const [one, two] = [await trained(), await trained({ options: { machine: { threads: 2, memoryBytes: 1e9 } } })];
    expect(two.learned).toEqual(one.learned);
  });
});

/** The loss of the block with the given weights, by the definition. */
function lossOf(terms: readonly Term[], weightsAt: (bits: Precision) => BlockWeights): number {
  const exact = blockOutput(weights);
  const energy = exact.reduce((sum, value) => sum + value * value, 0);
  return terms.reduce((sum, { bits, weight, target }) => {
    const aim = target === 'float' ? exact : blockOutput(weightsAt(target));
    const y = blockOutput(weightsAt(bits));
    return sum + (weight * y.reduce((error, value, at) => error + (value - (aim[at] as number)) ** 2, 0)) / energy;
  }, 0);
}

function product(x: ArrayLike<number>, w: Float32Array, k: number, n: number): number[] {
  return Array.from({ length: (x.length / k) * n }, (_, at) => {
    const row = Math.floor(at / n);
    let sum = 0;
    for (let i = 0; i < k; i++) sum += (x[row * k + i] as number) * (w[(at % n) * k + i] as number);
    return sum;
  });
}

/** What down reads. */
function hiddenOf({ hidden, ffn, gate, up }: BlockWeights): Float32Array {
  const raised = product(X, up, hidden, ffn);
  const gated = product(X, gate, hidden, ffn);
  return Float32Array.from(gated, (value, at) => (value / (1 + Math.exp(-value))) * (raised[at] as number));
}

function blockOutput(block: BlockWeights): readonly number[] {
  return product(hiddenOf(block), block.down, block.ffn, block.hidden);
}

type Pair = readonly [from: Precision, to: Precision];

describe('frozen blocks', () => {
  it.each([
    ['paper', {}],
    ['extra', { slice: 'extra' }],
    ['prefix', { slice: 'prefix' }],
    ['symmetric', { symmetric: true }],
    ['a short last block', { blockOf: () => 20 }],
    ['learned tables', { slice: 'prefix', learn: new Set<LearnKind>(['clip', 'tables']) }],
    ['learned codes', { slice: 'prefix', learn: new Set<LearnKind>(['clip', 'rounding']) }],
    ['one precision', { bits: [3], parent: 3 }],
    ['every precision', { bits: [8, 7, 6, 5, 4, 3, 2] }],
    ['a set without its parent', { bits: [6, 3] }],
    [
      '8 teaches 4 and 2',
      { slice: 'prefix', learn: new Set<LearnKind>(['clip', 'tables']) },
      [
        [8, 4],
        [8, 2],
      ],
    ],
    ['extra precision, 4 teaches 2', { slice: 'extra' }, [[4, 2]]],
  ] as const)('have the loss of the training graph: %s', async (_, changes, pairs: readonly Pair[] = []) => {
    const built = gatedBlock(weights);
    const { block } = built;
    const own = plan(changes as Partial<StudentPlan>);
    const lambda = { 8: 1, 7: 0.3, 6: 0.5, 5: 0.7, 4: 1, 3: 1, 2: 1 };
    const taught = pairs.map(([from, to]) => ({ from, to }));
    const objective = termsOf(own.bits, lambda, taught);
    const student = clipStudent(block, own);
    const { learned, end, start } = await trained({
      built,
      student,
      terms: objective,
      options: { steps: 12 },
    });
    const of = (name: 'gate' | 'up' | 'down', bits: Precision): Float32Array => {
      const { k } = block[name];
      return frozenWeights(freezeClipped(block[name], rowsOf(name), own, learned), k, own, bits);
    };
    const frozen = lossOf(objective, (bits) => ({
      ...weights,
      gate: of('gate', bits),
      up: of('up', bits),
      down: of('down', bits),
    }));
    // The steps are held against PyTorch above; here they only have to move the loss further than the rounding of what is frozen.
    expect(start / end - 1).toBeGreaterThan(1e-3);
    expect(Math.abs(frozen / end - 1)).toBeLessThan(1e-4);
  });
});

describe('the objective under Gram matrices', () => {
  const inputs = { gate: X, up: X, down: hiddenOf(weights) };
  const widths = { gate: 32, up: 32, down: 48 };
  const names = ['gate', 'up', 'down'] as const;

  /** XᵀX / tokens. */
  const gramOf = (x: Float32Array, k: number): Float32Array =>
    Float32Array.from({ length: k * k }, (_, at) => {
      let sum = 0;
      for (let row = 0; row < x.length; row += k) sum += (x[row + Math.floor(at / k)] ?? 0) * (x[row + (at % k)] ?? 0);
      return sum / (x.length / k);
    });

  it.each([
    ['KN', {}],
    ['NK', {}],
    ['KN', { slice: 'prefix', learn: new Set<LearnKind>(['clip', 'tables']) }],
  ] as const)('is the squared error of what each projection puts out (%s, %j)', async (layout, changes) => {
    const own = plan(changes as Partial<StudentPlan>);
    const { model, block } = gatedBlock(weights, layout);
    const student = clipStudent(block, own);
    const grams = new Map(names.map((name) => [block[name].group, gramOf(inputs[name], widths[name])]));
    const list: readonly Term[] = [...terms, { bits: 2, weight: 0.5, target: 4 }];
    const request = gramRequest(model, block, student, list, grams);
    const { learned, start, end } = await trainBlock(ortRuntime, request, student.learnables, WHOLE, options);
    const errorOf = (name: 'gate' | 'up' | 'down', { bits, target }: Term): number => {
      const [k, n, rows] = [widths[name], block[name].n, rowsOf(name)];
      const nested = freezeClipped(block[name], rows, own, learned);
      const found = frozenWeights(nested, k, own, bits);
      const aim = target === 'float' ? rows : frozenWeights(nested, k, own, target);
      const left = product(
        inputs[name],
        aim.map((value, at) => value - (found[at] as number)),
        k,
        n,
      );
      const square = (values: readonly number[]): number => values.reduce((sum, value) => sum + value * value, 0);
      return square(left) / square(product(inputs[name], rows, k, n));
    };
    const expected = list.flatMap((term) => names.map((name) => term.weight * errorOf(name, term)));
    expect(Math.abs(expected.reduce((sum, each) => sum + each, 0) / end - 1)).toBeLessThan(1e-3);
    expect(start / end - 1).toBeGreaterThan(5e-3);
  });
});

describe('the objective', () => {
  it('stops the gradient at the output that a smaller precision learns from', async () => {
    const { model, execution, block } = gatedBlock(weights);
    const student = clipStudent(block, plan());
    const gradients = async (list: readonly Term[]): Promise<readonly Float32Array[]> => {
      const request = blockRequest(model, execution, block, student, list);
      const feeds = { x: floats(X, [1, 96, 32]), ...feedsOf(student.learnables) };
      const session = await TrainingSession.open(ortRuntime, request, feeds, { threads: 1 });
      const { gradients: found } = await session.step(feeds);
      await session.close();
      return found;
    };
    const [pair] = await gradients([{ bits: 2, weight: 1, target: 8 }]);
    const [plain] = await gradients([{ bits: 2, weight: 1, target: 'float' }]);
    // int8 is nearly exact, so the slope of int2 towards it is nearly that towards the float block; a slope through int8 as
    // well would cancel most of it, for both are made from the same numbers.
    const norm = Math.hypot(...(plain as Float32Array));
    const apart = Math.hypot(...(plain as Float32Array).map((value, at) => value - (pair?.[at] as number)));
    expect(apart / norm).toBeLessThan(0.3);
  });

  it('has one more term, weighted as the plain one, for every pair', () => {
    expect(termsOf([8, 4, 2], { 8: 0.1, 4: 0, 2: 1 }, [{ from: 8, to: 2 }])).toEqual([
      { bits: 8, weight: 0.1, target: 'float' },
      { bits: 2, weight: 1, target: 'float' },
      { bits: 2, weight: 1, target: 8 },
    ]);
  });
});

describe('the way back', () => {
  it('halves the rate when numbers are not finite, and goes on', async () => {
    const built = gatedBlock(weights);
    const student = clipStudent(built.block, plan());
    let calls = 0;
    const result = await trained({
      built,
      student: poisoned(student, () => ++calls === 6),
      options: { steps: 20 },
    });
    expect(result).toMatchObject({ retries: 1, fallback: false });
    expect(result.losses).toHaveLength(20);
  });

  it('gives a block up that never becomes finite: its numbers are those of the start', async () => {
    const built = gatedBlock(weights);
    const student = clipStudent(built.block, plan());
    let calls = 0;
    const result = await trained({ built, student: poisoned(student, () => ++calls > 6), options: { steps: 20 } });
    expect(result.fallback).toBe(true);
    for (const values of result.learned.values()) expect(values.every((value) => value === 4)).toBe(true);
  });
});

/** A student whose first numbers are fed as NaN when asked. */
function poisoned(student: Student, isBad: () => boolean): Student {
  const [first, ...rest] = student.learnables;
  if (first === undefined) throw new Error('nothing to learn');
  const bad = new Float32Array(first.values.length).fill(Number.NaN);
  const trap = {
    ...first,
    get values() {
      return first.values;
    },
    get dims() {
      if (isBad()) first.values.set(bad);
      return first.dims;
    },
  };
  return { ...student, learnables: [trap, ...rest] };
}

describe('rows', () => {
  it('come from memory and from the file alike', () => {
    const values = noise(40, 3);
    const store = new RowStore(4, 3, `${fixture('')}../dist/rows.test.bin`, 5 * 16);
    store.append(values.subarray(0, 16));
    store.append(values.subarray(16, 32));
    store.append(values.subarray(32));
    expect(store.count).toBe(10);
    const picked = store.gather([9, 0, 4, 3]);
    expect(Array.from(picked)).toEqual(
      [9, 0, 4, 3].flatMap((row) => Array.from(values.subarray(4 * row, 4 * row + 4))),
    );
    store.close();
  });
});
