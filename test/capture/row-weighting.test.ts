/** Statistics whose rows have weights, by their definition and in their files. */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { type CaptureOptions, capture } from '../../src/capture/capture.js';
import type { Group } from '../../src/capture/groups.js';
import { fittingParts } from '../../src/capture/matrix-parts.js';
import { outputMatrices, type RowWeighting } from '../../src/capture/row-weighting.js';
import { hessianOf, type Statistics } from '../../src/capture/statistics.js';
import { mergeStatistics, openStatistics } from '../../src/capture/statistics-files.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { codeOf } from '../onnx/proto/support.js';
import { decoder } from '../support/decoder.js';
import { temporaryFolder } from '../support/paths.js';

const { model, analysis } = decoder({ layers: 1, hidden: 16, ffn: 24, vocabulary: 40 });
const windows = [6, 4, 6].map((length, at) => Int32Array.from({ length }, (_, i) => (i * 7 + at * 3 + 1) % 40));
const machine = { threads: 1, memoryBytes: 1e9 };

/** Every token has the weight that `of` says, brought to the mean 1. */
function weighting(groups: number, of: (matrix: string, token: number) => number, seed = 0): RowWeighting {
  return {
    facts: { kind: 'fisher', groups, seed },
    matrices: ({ id, projections }) => [id, ...projections.flatMap((each) => outputMatrices(each.id, each.n, groups))],
    rows: async (matrix) => {
      const tokens = windows.reduce((sum, { length }) => sum + length, 0);
      const raw = Float32Array.from({ length: tokens }, (_, token) => of(matrix, token));
      const mean = raw.reduce((sum, each) => sum + each, 0) / tokens;
      return { weights: raw.map((each) => each / mean), mean };
    },
  };
}

const run = (texts: readonly Int32Array[], more: CaptureOptions): Promise<Statistics> =>
  capture(model, analysis, texts, ortRuntime, {
    machine,
    scope: ({ role }) => role === 'gate' || role === 'up' || role === 'down',
    ...more,
  });

const near = (found: Float64Array, wanted: Float64Array): void => {
  const scale = Math.max(...wanted.map(Math.abs));
  found.forEach((each, at) => {
    expect(Math.abs(each - (wanted[at] as number))).toBeLessThan(2e-6 * scale);
  });
};

describe('weights of rows', () => {
  it('count a token as often as they say: whole windows alone, and their mean with weights', async () => {
    // Windows 0 and 2 weigh 3 and 1, window 1 nothing: batches follow the lengths, weights the order of the text.
    const weights = weighting(1, (_, token) => (token < 6 ? 3 : token < 10 ? 0 : 1));
    const found = await run(windows, { weights });
    const [first, last] = [await run([windows[0] as Int32Array], {}), await run([windows[2] as Int32Array], {})];
    for (const group of ['layers.0.ffn-in', 'layers.0.down-in']) {
      const own = await found.load(group);
      const [a, b] = [hessianOf(await first.load(group)), hessianOf(await last.load(group))];
      near(
        hessianOf(own),
        a.map((each, at) => (3 * each + (b[at] as number)) / 4),
      );
      const [sa, sb] = [(await first.load(group)).sum, (await last.load(group)).sum];
      near(
        own.sum,
        sa.map((each, at) => ((3 * each + (sb[at] as number)) / 24) * 16),
      );
      expect([own.tokens, own.weight]).toEqual([16, 1.5]);
    }
  });

  it('may differ between the matrices of one input', async () => {
    const weights = weighting(2, (matrix, token) => (matrix.endsWith('/2-of-2') ? Number(token < 6) : 1));
    const [found, plain] = [await run(windows, { weights }), await run(windows, {})];
    const alone = await run([windows[0] as Int32Array], {});
    expect(found.groups).toEqual([
      'layers.0.ffn-in',
      'layers.0.gate/1-of-2',
      'layers.0.gate/2-of-2',
      'layers.0.up/1-of-2',
      'layers.0.up/2-of-2',
      'layers.0.down-in',
      'layers.0.down/1-of-2',
      'layers.0.down/2-of-2',
    ]);
    near(hessianOf(await found.load('layers.0.up/1-of-2')), hessianOf(await plain.load('layers.0.ffn-in')));
    near(hessianOf(await found.load('layers.0.up/2-of-2')), hessianOf(await alone.load('layers.0.ffn-in')));
  });

  it('are kept in files, and part of what names them', async () => {
    const folder = temporaryFolder();
    const weights = weighting(1, (_, token) => 1 + token);
    const made = await run(windows, { weights, folder });
    const opened = await openStatistics(folder, made.header);
    expect(opened.header.weights).toEqual({ kind: 'fisher', groups: 1, seed: 0 });
    expect((await opened.load('layers.0.down-in')).weight).toBe(8.5);
    const others = [{}, { weights: weighting(4, () => 1) }, { weights: weighting(1, () => 1, 1) }];
    for (const other of others) expect((await run(windows, other)).header.digest).not.toBe(made.header.digest);
    const refused: RowWeighting = { ...weights, rows: () => Promise.reject(new Error('weighed again')) };
    expect((await run(windows, { weights: refused, folder })).header.digest).toBe(made.header.digest);
    expect(readdirSync(folder).length).toBe(3);
  });
});

describe('captures with weights', () => {
  const of = (_: string, token: number): number => (token < 6 ? 5 : 1);

  it('add up as one capture, whatever the mean of each', async () => {
    const whole = await run(windows, { weights: weighting(1, of) });
    const parts = [windows.slice(0, 1), windows.slice(1)].map((some, at) => {
      const value = at === 0 ? 5 : 1;
      const tokens = some.reduce((sum, { length }) => sum + length, 0);
      const rows = async () => ({ weights: new Float32Array(tokens).fill(1), mean: value });
      return run(some, { weights: { ...weighting(1, of, at), rows } });
    });
    const sum = mergeStatistics(await Promise.all(parts));
    for (const group of whole.groups) {
      const [own, wanted] = [await sum.load(group), await whole.load(group)];
      near(hessianOf(own), hessianOf(wanted));
      expect(own.weight).toBeCloseTo(wanted.weight as number, 6);
    }
  });

  it('are not mixed with others', async () => {
    const weighted = await run(windows.slice(1), { weights: weighting(1, of) });
    const others = [await run(windows.slice(0, 1), {}), await run(windows.slice(0, 1), { weights: weighting(4, of) })];
    for (const other of others) {
      expect(codeOf(() => mergeStatistics([weighted, other]))).toBe('statistics-weights');
      expect(codeOf(() => mergeStatistics([other, weighted]))).toBe('statistics-weights');
    }
  });
});

describe('matrices of several inputs', () => {
  it('are summed together as far as the memory goes, each at least alone', () => {
    const groups = [4096, 4096, 8192, 16, 16].map((k, at) => ({ id: String(at), k }) as Group);
    const ids = (memoryBytes: number): readonly (readonly string[])[] =>
      fittingParts(groups, memoryBytes).map((part) => part.map(({ id }) => id));
    expect(ids(0)).toEqual([['0'], ['1'], ['2'], ['3', '4']]);
    expect(ids(1e12)).toEqual([['0', '1', '2', '3', '4']]);
    expect(fittingParts([], 0)).toEqual([[]]);
  });
});
