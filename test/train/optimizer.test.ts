/** Steps of AdamW and rates of the schedules against PyTorch, and by hand. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { AdamW, type AdamWOptions, constantRate, cosineRate } from '../../src/train/optimizer.js';
import { fixture } from '../support/paths.js';

interface Case {
  readonly options: AdamWOptions;
  /** Two parameters, the second at a tenth of the rate and without decay. */
  readonly start: readonly [number[], number[]];
  readonly gradients: readonly [number[], number[]][];
  readonly values: readonly [number[], number[]][];
}

interface Fixture {
  readonly schedule: { rate: number; steps: number; warmUp: number; floor: number; rates: readonly number[] };
  readonly cases: readonly Case[];
}

const { schedule, cases } = JSON.parse(readFileSync(fixture('calibrate/optimizer.json'), 'utf8')) as Fixture;

describe('AdamW', () => {
  it.each(cases.map((each) => [JSON.stringify(each.options), each] as const))('steps as PyTorch with %s', (_, each) => {
    const values = each.start.map((start) => Float32Array.from(start)) as [Float32Array, Float32Array];
    const adam = new AdamW([{ values: values[0] }, { values: values[1], rate: 0.1, weightDecay: 0 }], each.options);
    each.gradients.forEach((gradients, step) => {
      adam.step(
        gradients.map((gradient) => Float32Array.from(gradient)),
        schedule.rates[step] as number,
      );
      values.forEach((actual, at) => {
        const expected = each.values[step]?.[at] as number[];
        // PyTorch rounds every operation to float32; twelve steps stay within 4 units of the last place of 1.
        const largest = Math.max(...expected.map(Math.abs));
        actual.forEach((value, i) => {
          expect(Math.abs(value - (expected[i] as number))).toBeLessThan(4 * 2 ** -23 * Math.max(1, largest));
        });
      });
    });
    expect(adam.steps).toBe(schedule.steps);
  });

  it('goes by the rate in the first step, whatever the gradient', () => {
    const values = Float32Array.of(1, 2);
    new AdamW([{ values }], { epsilon: 0 }).step([Float32Array.of(1e-6, -300)], 0.25);
    expect(values).toEqual(Float32Array.of(0.75, 2.25));
  });

  it('finds the least of a square', () => {
    const values = Float32Array.of(3, -2);
    const adam = new AdamW([{ values }]);
    const rate = cosineRate(0.2, 300, 10);
    for (let step = 0; step < 300; step++)
      adam.step([Float32Array.of(2 * ((values[0] as number) - 1), 8 * (values[1] as number))], rate(step));
    expect(values[0]).toBeCloseTo(1, 3);
    expect(values[1]).toBeCloseTo(0, 3);
  });

  it('refuses gradients that do not belong to its parameters', () => {
    const adam = new AdamW([{ values: new Float32Array(2) }]);
    expect(() => adam.step([], 1)).toThrow('1 parameters, 0 gradients');
    expect(() => adam.step([new Float32Array(3)], 1)).toThrow('2 values, 3 gradients');
  });
});

describe('the schedules', () => {
  it('go down a cosine as in PyTorch', () => {
    const { rate, steps, warmUp, floor, rates } = schedule;
    const cosine = cosineRate(rate, steps, warmUp, floor);
    rates.forEach((expected, step) => expect(cosine(step)).toBeCloseTo(expected, 12));
    expect(cosine(steps)).toBeCloseTo(floor, 12);
    expect(cosine(10 * steps)).toBeCloseTo(floor, 12);
  });

  it('stay constant after the warm-up', () => {
    expect([0, 1, 3, 4, 9].map(constantRate(2, 4))).toEqual([0.5, 1, 2, 2, 2]);
    expect([0, 5].map(constantRate(2))).toEqual([2, 2]);
  });
});
