import { describe, expect, it } from '@jest/globals';
import { createRandom } from '../src/random.js';

const draws = (count: number, draw: () => number): number[] => Array.from({ length: count }, draw);

describe('createRandom', () => {
  it('gives the same stream for the same seed, on every machine', () => {
    const random = createRandom(7);
    expect(draws(4, () => random.integer(1000))).toEqual([201, 627, 724, 990]);
  });

  it('tells seeds apart that differ only above 32 bits', () => {
    expect(createRandom(1).uniform()).not.toBe(createRandom(1 + 2 ** 40).uniform());
  });

  it('draws uniform and normal numbers with the right moments', () => {
    const random = createRandom(1);
    const mean = (values: number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(mean(draws(20_000, () => random.uniform()))).toBeCloseTo(0.5, 1);
    const normal = draws(20_000, () => random.normal());
    expect(mean(normal)).toBeCloseTo(0, 1);
    expect(mean(normal.map((value) => value * value))).toBeCloseTo(1, 1);
  });

  it('shuffles a copy and keeps every item', () => {
    const items = draws(50, () => 0).map((_, index) => index);
    const shuffled = createRandom(3).shuffle(items);
    expect(shuffled).not.toEqual(items);
    expect([...shuffled].sort((a, b) => a - b)).toEqual(items);
  });

  it('forks streams by label that do not depend on what was drawn before', () => {
    const [first, second] = [createRandom(5), createRandom(5)];
    first.uniform();
    expect(first.fork('layer 0').uniform()).toBe(second.fork('layer 0').uniform());
    expect(second.fork('layer 0').uniform()).not.toBe(second.fork('layer 1').uniform());
  });

  it('refuses seeds and bounds it cannot honour', () => {
    expect(() => createRandom(0.5)).toThrow(RangeError);
    expect(() => createRandom(1).integer(0)).toThrow(RangeError);
  });
});
