import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type Activation, ActivationStore, MemoryBudget } from '../../src/capture/spill.js';
import { temporaryFolder } from '../support/paths.js';

const floats = (...values: number[]): Activation => ({
  dtype: 'float32',
  dims: [1, values.length],
  data: Float32Array.from(values),
});

describe('ActivationStore', () => {
  it('holds activations in memory up to the budget and gives back the same ones from disk', async () => {
    const folder = join(temporaryFolder(), 'spill');
    const budget = new MemoryBudget(8);
    const store = new ActivationStore(folder, budget);
    await store.put('x', 0, floats(1, 2));
    expect(existsSync(folder)).toBe(false);
    await store.put('x', 1, floats(3, 4));
    await store.put('x', 2, { dtype: 'int64', dims: [1], data: BigInt64Array.of(-5n) });
    expect(store.spilledBytes).toBe(16);
    expect(await store.get('x', 0)).toEqual(floats(1, 2));
    expect(await store.get('x', 1)).toEqual(floats(3, 4));
    expect((await store.get('x', 2)).data).toEqual(BigInt64Array.of(-5n));
    await store.close();
    expect(existsSync(folder)).toBe(false);
    expect(budget.used).toBe(0);
  });

  it('frees memory batch by batch and files value by value', async () => {
    const folder = join(temporaryFolder(), 'spill');
    const budget = new MemoryBudget(8);
    const store = new ActivationStore(folder, budget);
    await store.put('x', 0, floats(1, 2));
    store.release('x', 0);
    await store.put('y', 0, floats(5, 6));
    expect(budget.used).toBe(8);
    await store.put('z', 0, floats(7));
    expect(readdirSync(folder)).toHaveLength(1);
    await store.drop('z');
    expect(readdirSync(folder)).toHaveLength(0);
    await expect(store.get('x', 0)).rejects.toThrow('not stored');
    await store.close();
  });

  it('shares one budget between stores', async () => {
    const folder = temporaryFolder();
    const budget = new MemoryBudget(8);
    const [a, b] = [new ActivationStore(join(folder, 'a'), budget), new ActivationStore(join(folder, 'b'), budget)];
    await a.put('x', 0, floats(1, 2));
    await b.put('x', 0, floats(1, 2));
    expect([a.spilledBytes, b.spilledBytes]).toEqual([0, 8]);
    await a.close();
    await b.close();
  });
});
