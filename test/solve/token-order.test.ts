import { expect, it } from '@jest/globals';
import { tokenOrder } from '../../src/solve/token-order.js';

it('puts frequent ids first, then the others by number, and finds the row of each', () => {
  const { ids, rows } = tokenOrder([Int32Array.of(4, 2, 4), Int32Array.of(2, 4, 1, 9)], 6);
  expect([...ids]).toEqual([4, 2, 1, 0, 3, 5]);
  expect([...rows].map((row, id) => ids[row] === id)).toEqual(Array(6).fill(true));
});
