/** What the tests of src/quant share: numpy's results and random arrays. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { type Blocks, blocksOf } from '../../src/quant/grid.js';
import { fixture } from '../support/paths.js';

/** Reads one of the files written by scripts/make-quant-fixtures.py. */
export const oracle = <T>(name: string): T => JSON.parse(readFileSync(fixture(`quant/${name}.json`), 'utf8')) as T;

/** Parent codes [rows, K] with a block size that need not divide K. */
export interface Sample {
  readonly rows: number;
  readonly blocks: Blocks;
  readonly codes: Uint8Array;
}

/** Arbitrary code arrays; blocks are multiples of 8, so that fields of one bit fill bytes. */
export const samples: fc.Arbitrary<Sample> = fc
  .record({
    rows: fc.integer({ min: 1, max: 4 }),
    k: fc.integer({ min: 1, max: 70 }),
    block: fc.constantFrom(8, 16, 32, 64),
  })
  .chain(({ rows, k, block }) =>
    fc
      .uint8Array({ minLength: rows * k, maxLength: rows * k })
      .map((codes) => ({ rows, blocks: blocksOf(k, block), codes })),
  );

export interface WeightSample {
  readonly rows: number;
  readonly blocks: Blocks;
  readonly weights: Float32Array;
}

/** Weights [rows, K] of an ordinary size, some of them zero. */
export const weightSamples: fc.Arbitrary<WeightSample> = samples.chain(({ rows, blocks }) =>
  fc
    .array(fc.oneof(fc.constant(0), fc.double({ min: -2, max: 2, noNaN: true })), {
      minLength: rows * blocks.k,
      maxLength: rows * blocks.k,
    })
    .map((values) => ({ rows, blocks, weights: Float32Array.from(values) })),
);
