import { availableParallelism } from 'node:os';
import { describe, expect, it } from '@jest/globals';
import { KernelPool } from '../src/kernels/pool.js';
import { usefulThreads } from '../src/threads.js';

describe('threads', () => {
  it('are as many as asked for, up to two for each processor', async () => {
    const most = Math.max(4, 2 * availableParallelism());
    expect([1, 2, 4, 256, 1e6].map((asked) => usefulThreads(asked))).toEqual([1, 2, 4, Math.min(256, most), most]);
    expect(usefulThreads()).toBe(availableParallelism());
    expect(usefulThreads(0)).toBe(1);
    const pool = new KernelPool(100_000);
    expect(pool.size).toBe(most);
    await pool.close();
  });
});
