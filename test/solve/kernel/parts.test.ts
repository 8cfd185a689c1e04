/** Wide projections solved in parts of their columns: exact when inputs of different parts are uncorrelated. */
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { KernelPool } from '../../../src/kernels/pool.js';
import { solveInParts } from '../../../src/solve/kernel/parts.js';
import { solveGroup } from '../../../src/solve/kernel/solve.js';
import { noise } from '../../support/decoder.js';
import { quickOptions } from '../../support/solve-options.js';

const [rows, cols, block, most] = [12, 144, 32, 64];
const options = quickOptions(block);
const weights = noise(rows * cols, 1);
const items = [{ name: 'w', rows, weights }];

/** Blocks of correlated inputs on the diagonal; `reach` inputs further on are correlated across blocks as well. */
function gramOf(reach: number): Float64Array {
  const gram = new Float64Array(cols * cols);
  for (let i = 0; i < cols; i++)
    for (let j = 0; j < cols; j++) {
      const near = Math.floor(i / block) === Math.floor(j / block) || Math.abs(i - j) < reach;
      if (near) gram[i * cols + j] = 0.8 ** Math.abs(i - j);
    }
  return gram;
}

let pool: KernelPool;
beforeAll(() => {
  pool = new KernelPool(1);
});
afterAll(() => pool.close());

describe('solveInParts', () => {
  it('equals the whole where the parts are uncorrelated, the last one ragged', async () => {
    const gram = gramOf(0);
    const [whole] = await solveGroup(pool, items, cols, gram, options);
    const [parts] = await solveInParts(pool, items, cols, gram, options, most);
    expect(parts?.codes).toEqual(whole?.codes);
    expect(parts?.parent).toEqual(whole?.parent);
    for (const bits of options.bits) {
      const [a, b] = [parts?.tables.get(bits), whole?.tables.get(bits)];
      a?.scale.forEach((scale, at) => expect(scale).toBeCloseTo(b?.scale[at] as number, 5));
      a?.offset.forEach((offset, at) => expect(offset).toBeCloseTo(b?.offset[at] as number, 5));
      const [mean, own] = [parts?.report.error.get(bits), whole?.report.error.get(bits)];
      expect(mean?.after).toBeLessThan(1.25 * (own?.after as number));
      expect(mean?.after).toBeGreaterThan(0.8 * (own?.after as number));
    }
  });

  it('is the whole where it fits', async () => {
    const gram = gramOf(20);
    const [whole] = await solveGroup(pool, items, cols, gram, options);
    const [same] = await solveInParts(pool, items, cols, gram, options);
    expect(same?.codes).toEqual(whole?.codes);
  });

  it('refuses rows of one scale that do not fit', async () => {
    await expect(solveInParts(pool, items, cols, gramOf(0), { ...options, block: cols }, most)).rejects.toMatchObject({
      code: 'memory',
      at: 'w',
    });
  });
});
