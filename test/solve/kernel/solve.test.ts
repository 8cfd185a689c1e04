import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from '@jest/globals';
import { KernelPool } from '../../../src/kernels/pool.js';
import type { Precision } from '../../../src/quant/precision.js';
import { lambdas, type Solved, type SolveOptions } from '../../../src/solve/kernel/options.js';
import { solveGroup } from '../../../src/solve/kernel/solve.js';
import { fixture } from '../../support/paths.js';
import { quickOptions } from '../../support/solve-options.js';
import { noise } from './reference.js';

/** One case of scripts/solver-fixtures.py. */
interface Case extends Omit<SolveOptions, 'range' | 'damping'> {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly planes: readonly Precision[];
  readonly error: readonly number[];
}

const bytesOf = (name: string): Uint8Array => new Uint8Array(readFileSync(fixture(`solver/${name}`)));
const floatsOf = (name: string): Float32Array => new Float32Array(bytesOf(name).buffer);
const cases = JSON.parse(readFileSync(fixture('solver/cases.json'), 'utf8')) as readonly Case[];
const gram = floatsOf('gram.f32');
const weights = floatsOf('weights.f32');
const [rows, cols] = [12, 84];

const pool = new KernelPool(2);
const single = new KernelPool(1);
afterAll(() => Promise.all([pool.close(), single.close()]));

const best: SolveOptions = { ...quickOptions(32, [8, 6, 4, 3, 2]), range: 'minmax', sweeps: 2 };

async function solveOne(options: SolveOptions, on: KernelPool = pool): Promise<Solved> {
  const [solved] = await solveGroup(on, [{ name: 'w', rows, weights }], cols, gram, options);
  if (solved === undefined) throw new Error('nothing solved');
  return solved;
}

/** Share of equal elements. */
const agreement = (a: Uint8Array, b: Uint8Array): number => a.filter((value, i) => value === b[i]).length / a.length;

/** tr (W − Ŵ) H (W − Ŵ)ᵀ / tr W H Wᵀ, in float64. */
function energyOf(rowsOf: Float64Array, h: Float32Array, k: number): number {
  let sum = 0;
  for (let at = 0; at < rowsOf.length; at += k) {
    for (let i = 0; i < k; i++) {
      let image = 0;
      for (let j = 0; j < k; j++) image += (h[i * k + j] ?? 0) * (rowsOf[at + j] ?? 0);
      sum += image * (rowsOf[at + i] ?? 0);
    }
  }
  return sum;
}

function residualOf(solved: Solved, r: Precision, block: number): Float64Array {
  const table = solved.tables.get(r);
  const blocks = Math.ceil(cols / block);
  return Float64Array.from(weights, (w, i) => {
    const at = Math.floor(i / cols) * blocks + Math.floor((i % cols) / block);
    const code = (solved.codes[i] ?? 0) >> (8 - r);
    return w - ((table?.scale[at] ?? 0) * code + (table?.offset[at] ?? 0));
  });
}

describe('solveGroup against the second implementation', () => {
  it.each(cases.map((each): [string, Case] => [each.name, each]))('%s', async (name, each) => {
    const solved = await solveOne({ ...best, ...each });
    // Bits below the finest precision asked for are free.
    const free = each.planes.length > 1 ? 8 - Math.max(...each.bits) : 0;
    const kept = (codes: Uint8Array): Uint8Array => codes.map((code) => code >> free);
    expect(agreement(kept(solved.codes), kept(bytesOf(`${name}.codes`)))).toBeGreaterThanOrEqual(0.999);
    const expected = floatsOf(`${name}.tables`);
    const plane = solved.parent.scale.length;
    for (const [i, r] of each.planes.entries()) {
      const table = solved.tables.get(r);
      if (!each.bits.includes(r)) {
        expect(table).toBeUndefined();
        continue;
      }
      const size =
        expected.subarray(2 * i * plane, (2 * i + 1) * plane).reduce((sum, a) => sum + Math.abs(a), 0) / plane;
      const all = [...(table?.scale ?? []), ...(table?.offset ?? [])];
      const worst = Math.max(...all.map((value, at) => Math.abs(value - (expected[2 * i * plane + at] ?? Number.NaN))));
      expect(worst / size).toBeLessThan(1e-4 * 2 ** r);
      expect(Math.abs((solved.report.error.get(r)?.after ?? 0) / (each.error[i] ?? 0) - 1)).toBeLessThan(1e-3);
    }
  });
});

describe('solveGroup', () => {
  it('reports the error that its result has', async () => {
    const solved = await solveOne(best);
    const total = energyOf(Float64Array.from(weights), gram, cols);
    for (const [r, { before, after }] of solved.report.error) {
      expect(energyOf(residualOf(solved, r, 32), gram, cols) / total / after).toBeCloseTo(1, 3);
      if (r <= 4) expect(after).toBeLessThan(before);
    }
  });

  it('lowers the shared objective with every stage', async () => {
    const objective = (solved: Solved): number =>
      [...solved.report.error].reduce((sum, [r, error]) => sum + 2 ** (r - 2) * error.after, 0);
    const rounded = objective(await solveOne({ ...best, codes: 'round', rounds: 0 }));
    const compensated = objective(await solveOne({ ...best, rounds: 0 }));
    const descended = objective(await solveOne(best));
    expect(compensated).toBeLessThan(rounded);
    expect(descended).toBeLessThan(compensated);
  });

  it('clips the range where that lowers the weighted error of the tied decodes', async () => {
    // The parent's error counts 8 times here: with this, all precisions count alike.
    const lambda = { ...lambdas(best.bits, 1), 8: 1 / 8 };
    const rounded: SolveOptions = { ...best, decode: 'tied', codes: 'round', rounds: 0, lambda };
    const plain = await solveOne(rounded);
    const clipped = await solveOne({ ...rounded, range: 'grid' });
    const twoBits = (solved: Solved): number => solved.report.error.get(2)?.after ?? Number.NaN;
    expect(twoBits(clipped)).toBeLessThan(0.9 * twoBits(plain));
    for (const [i, scale] of clipped.parent.scale.entries())
      expect(scale).toBeLessThanOrEqual((plain.parent.scale[i] ?? 0) * 1.0001);
    const signed: SolveOptions = { ...rounded, decode: 'signed', symmetric: true, slice: 'paper' };
    expect(twoBits(await solveOne({ ...signed, range: 'grid' }))).toBeLessThan(twoBits(await solveOne(signed)));
  });

  it('gives the same bytes for any number of threads', async () => {
    const draw = noise(5);
    const many = Float32Array.from({ length: 70 * cols }, () => draw() * 0.05);
    const items = [
      { name: 'gate', rows: 70, weights: many },
      { name: 'up', rows, weights },
    ];
    const nested = (solved: readonly Solved[]): unknown =>
      solved.map(({ codes, parent, tables }) => ({ codes, parent, tables }));
    const one = await solveGroup(single, items, cols, gram, best);
    const two = await solveGroup(pool, items, cols, gram, best);
    expect(nested(two)).toEqual(nested(one));
    expect(one[1]?.codes).toEqual((await solveOne(best)).codes);
  });

  it('rounds the weights of inputs that were always zero, and counts them', async () => {
    const dead = Float32Array.from(gram, (value, i) => (i % cols === 5 || Math.floor(i / cols) === 5 ? 0 : value));
    const [solved] = await solveGroup(pool, [{ name: 'w', rows, weights }], cols, dead, {
      ...best,
      bits: [8],
      rounds: 0,
    });
    const [plain] = await solveGroup(pool, [{ name: 'w', rows, weights }], cols, dead, {
      ...best,
      bits: [8],
      codes: 'round',
      rounds: 0,
    });
    expect(solved?.report.dead).toBe(1);
    for (let n = 0; n < rows; n++) expect(solved?.codes[n * cols + 5]).toBe(plain?.codes[n * cols + 5]);
  });

  it('raises the damping where the matrix is not positive definite, and says so', async () => {
    const bent = gram.slice();
    for (let i = 0; i < cols; i++) bent[i * cols + i] = (bent[i * cols + i] ?? 0) * (i === 3 ? 0.5 : 1);
    const [solved] = await solveGroup(pool, [{ name: 'w', rows, weights }], cols, bent, { ...best, damping: 1e-6 });
    expect(solved?.report.damping).toBeGreaterThan(1e-6);
  });

  it('refuses what it cannot solve', async () => {
    const item = { name: 'w', rows, weights };
    const negative = gram.map((value) => -value);
    await expect(solveGroup(pool, [item], cols, negative, best)).rejects.toMatchObject({ code: 'numeric' });
    const indefinite = gram.map((value, i) => (i % (cols + 1) === 0 ? value : value * 50));
    await expect(solveGroup(pool, [item], cols, indefinite, best)).rejects.toMatchObject({ code: 'numeric' });
    await expect(solveGroup(pool, [item], cols + 1, gram, best)).rejects.toMatchObject({ code: 'tensor-size' });
    await expect(solveGroup(pool, [item], cols, gram.subarray(1), best)).rejects.toMatchObject({ code: 'statistics' });
    const odd = { ...best, lambda: { ...best.lambda, 4: 0 } };
    await expect(solveGroup(pool, [item], cols, gram, odd)).rejects.toMatchObject({ code: 'bad-usage', at: 'lambda' });
    await expect(solveGroup(pool, [item], cols, gram, { ...best, damping: 0 })).rejects.toMatchObject({
      at: 'damping',
    });
  });

  it('leaves no memory behind', async () => {
    await solveOne(best);
    const before = pool.arena.used;
    await solveOne(best);
    expect(pool.arena.used).toBe(before);
  });
});
