import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import {
  digestOfWindows,
  type GroupStatistics,
  headerOf,
  hessianOf,
  meanOf,
  mergeGroups,
  type StatisticsHeader,
  statisticsInMemory,
  triangleIndex,
} from '../../src/capture/statistics.js';
import {
  findStatistics,
  mergeStatistics,
  openStatistics,
  StatisticsFolder,
  saveStatistics,
} from '../../src/capture/statistics-files.js';
import { CompilerError } from '../../src/diagnostics.js';
import { noise } from '../support/decoder.js';
import { temporaryFolder } from '../support/paths.js';

/** Sums over rows straight from the definition. */
const statisticsOf = (group: string, rows: Float32Array, k: number): GroupStatistics => {
  const tokens = rows.length / k;
  const x = (row: number, column: number): number => rows[row * k + column] ?? 0;
  const indices = Array.from({ length: k }, (_, column) => column);
  const over = (term: (row: number) => number): number => {
    let total = 0;
    for (let row = 0; row < tokens; row++) total += term(row);
    return total;
  };
  const gram = indices.flatMap((i) => indices.slice(i).map((j) => over((row) => x(row, i) * x(row, j))));
  const sum = indices.map((i) => over((row) => x(row, i)));
  return { group, k, tokens, gram: Float64Array.from(gram), sum: Float64Array.from(sum) };
};

const header = (text: string, tokens: number, firstWeight = 1): StatisticsHeader =>
  headerOf({ model: 'm', text, windows: 1, tokens, firstWeight });

const codeOf = async (run: Promise<unknown>): Promise<string> => {
  const error = await run.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return error instanceof CompilerError ? error.code : String(error);
};

/** Largest difference, relative to the geometric mean of the diagonal, the scale of an inner product. */
const difference = (a: GroupStatistics, b: GroupStatistics): number => {
  const [ha, hb] = [hessianOf(a), hessianOf(b)];
  const scale = (at: number): number => Math.sqrt((ha[at * a.k + at] ?? 0) * (ha[at * a.k + at] ?? 0));
  let worst = 0;
  ha.forEach((value, at) => {
    const size = Math.sqrt(scale(Math.floor(at / a.k)) * scale(at % a.k));
    worst = Math.max(worst, Math.abs(value - (hb[at] ?? 0)) / size);
  });
  return worst;
};

describe('statistics', () => {
  it('unpacks the triangle to H = XᵀX / tokens and the mean', () => {
    const group: GroupStatistics = {
      group: 'g',
      k: 2,
      tokens: 2,
      gram: Float64Array.of(10, 14, 20),
      sum: Float64Array.of(4, 6),
    };
    expect(hessianOf(group)).toEqual(Float64Array.of(5, 7, 7, 10));
    expect(meanOf(group)).toEqual(Float64Array.of(2, 3));
    expect([triangleIndex(3, 0, 2), triangleIndex(3, 1, 1), triangleIndex(3, 2, 2)]).toEqual([2, 3, 5]);
  });

  it('comes back from disk as it was, to float32', async () => {
    const folder = temporaryFolder();
    const made = statisticsOf('layers.0.ffn-in', noise(64 * 7, 3), 7);
    const target = new StatisticsFolder(folder, header('t', 64));
    await target.save(made);
    expect(await target.has('layers.0.ffn-in')).toBe(true);
    const opened = await (await target.finish(['layers.0.ffn-in'])).load('layers.0.ffn-in');
    expect(opened).toMatchObject({ group: 'layers.0.ffn-in', k: 7, tokens: 64 });
    expect(difference(made, opened)).toBeLessThan(1e-7);
    expect(opened.sum).toEqual(made.sum);
  });

  it('writes a file that follows the safetensors layout', async () => {
    const folder = temporaryFolder();
    const target = new StatisticsFolder(folder, header('t', 8));
    await target.save(statisticsOf('g', noise(24, 5), 3));
    const bytes = readFileSync(join(folder, target.fileOf('g')));
    const length = Number(bytes.readBigUInt64LE());
    const json = JSON.parse(bytes.subarray(8, 8 + length).toString());
    expect(json.gram).toEqual({ dtype: 'F32', shape: [6], data_offsets: [0, 24] });
    expect(json.sum).toEqual({ dtype: 'F64', shape: [3], data_offsets: [24, 48] });
    expect(bytes.length).toBe(8 + length + 48);
    expect(readdirSync(folder)).toHaveLength(1);
  });

  it('adds halves to the whole within 1e-6', async () => {
    const rows = noise(200 * 6, 9);
    const save = async (text: string, part: Float32Array): Promise<StatisticsFolder> => {
      const target = new StatisticsFolder(temporaryFolder(), header(text, part.length / 6));
      await target.save(statisticsOf('g', part, 6));
      await target.finish(['g']);
      return target;
    };
    const parts = [await save('a', rows.subarray(0, 420)), await save('b', rows.subarray(420))];
    const opened = await Promise.all(parts.map((part) => openStatistics(part.folder)));
    const folder = temporaryFolder();
    await saveStatistics(mergeStatistics(opened), folder);
    const merged = await openStatistics(folder);
    expect(merged.header).toMatchObject({ tokens: 200, windows: 2 });
    expect(difference(await merged.load('g'), statisticsOf('g', rows, 6))).toBeLessThan(1e-6);
    const other = mergeStatistics(opened.toReversed());
    expect(other.header.digest).toBe(merged.header.digest);
  });

  it('adds nothing for a part that no row was seen in', () => {
    const seen = statisticsOf('g', noise(12, 1), 3);
    const gram = Float64Array.of(1, 0, 0, 1, 0, 1);
    const unseen = { group: 'g', k: 3, tokens: 1, gram, sum: new Float64Array(3) };
    expect(mergeGroups(seen, unseen)).toEqual(seen);
    expect(mergeGroups(unseen, seen)).toEqual(seen);
    expect(mergeGroups(unseen, unseen)).toEqual(unseen);
    expect(mergeGroups(seen, { ...unseen, sum: Float64Array.of(0, 0, 1) }).tokens).toBe(seen.tokens + 1);
  });

  it('refuses to merge what does not belong together', async () => {
    const [a, b] = [statisticsOf('g', noise(12, 1), 3), statisticsOf('g', noise(12, 2), 4)];
    expect(() => mergeGroups(a, b)).toThrow(expect.objectContaining({ code: 'statistics' }));
    const memory = (head: StatisticsHeader, group = 'g') =>
      statisticsInMemory(head, new Map([[group, { ...a, group }]]));
    const merge = (...heads: ReturnType<typeof memory>[]): Promise<string> =>
      codeOf((async () => mergeStatistics(heads))());
    expect(await merge(memory(header('a', 4)), memory(header('a', 4)))).toBe('statistics');
    expect(await merge(memory(header('a', 4)), memory(header('b', 4, 0.5)))).toBe('statistics');
    expect(await merge(memory(header('a', 4)), memory(header('b', 4), 'other'))).toBe('statistics');
    expect(await merge()).toBe('statistics');
  });

  it('is reused only when the digest holds and every file is there', async () => {
    const folder = temporaryFolder();
    const target = new StatisticsFolder(folder, header('t', 4));
    await target.save(statisticsOf('g', noise(12, 1), 3));
    expect(await findStatistics(folder, target.header)).toBeUndefined();
    await target.finish(['g']);
    expect((await findStatistics(folder, target.header))?.groups).toEqual(['g']);
    expect(await findStatistics(folder, header('u', 4))).toBeUndefined();
    expect(await codeOf(openStatistics(folder, header('u', 4)))).toBe('statistics');
  });

  it('says so when a file is damaged', async () => {
    const folder = temporaryFolder();
    const target = new StatisticsFolder(folder, header('t', 4));
    await target.save(statisticsOf('g', noise(12, 1), 3));
    const statistics = await target.finish(['g']);
    const path = join(folder, target.fileOf('g'));
    const whole = readFileSync(path);
    for (const damage of [
      () => truncateSync(path, whole.length - 4),
      () => truncateSync(path, 6),
      () => writeFileSync(path, 'not a tensor file'),
    ]) {
      writeFileSync(path, whole);
      damage();
      expect(await codeOf(statistics.load('g'))).toBe('damaged-file');
    }
    expect(await codeOf(statistics.load('other'))).toBe('statistics');
    writeFileSync(join(folder, 'statistics.json'), '{');
    expect(await codeOf(openStatistics(folder))).toBe('damaged-file');
    expect(await codeOf(openStatistics(temporaryFolder()))).toBe('statistics');
  });

  it('tells windows apart by their borders', () => {
    expect(digestOfWindows([[1, 2], [3]])).not.toBe(digestOfWindows([[1], [2, 3]]));
    expect(digestOfWindows([[1, 2], [3]])).toBe(digestOfWindows([Int32Array.of(1, 2), [3]]));
  });
});
