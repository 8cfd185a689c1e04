import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { StoredTable } from '../../src/quant/compress.js';
import type { LayoutOptions, ProjectionPlace, Range } from '../../src/quant/layout.js';
import type { Precision } from '../../src/quant/precision.js';
import { codesAt } from '../../src/set/packed.js';
import { partsOf } from '../../src/set/parts.js';
import { SolvedStore } from '../../src/set/solved-store.js';
import { piecesOf, type StoredProjection } from '../../src/set/stored-pieces.js';
import { writeData } from '../../src/set/write-set.js';
import { product, randomParts, type SetOnDisk, writeSet } from '../support/nested.js';
import { temporaryFolder } from '../support/paths.js';

let root: string;
beforeAll(() => {
  root = temporaryFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

const CHAIN: readonly Precision[] = [2, 3, 4, 6, 8];
const ab: LayoutOptions = { bits: CHAIN, block: 32, decode: 'ab', tables: 'c8', biased: [4] };
const floors = new Map([['layers.0.up', 4]]);

function setOf(name: string, options: LayoutOptions): SetOnDisk {
  const folder = join(root, name.replaceAll(/\W/g, ''));
  mkdirSync(folder);
  return writeSet(folder, product({ k: 172, n: 24 }), options, floors);
}

/** What the set was written from. */
async function* solvedOf({ plan }: SetOnDisk, options: LayoutOptions): AsyncGenerator<StoredProjection> {
  for (const [at, place] of plan.layout.projections.entries())
    yield { id: place.id, parts: partsOf(place, randomParts(place, options, 10 * at + 5), plan.layout) };
}

const storeOf = (set: SetOnDisk, options: LayoutOptions, mostBytes?: number): Promise<SolvedStore> =>
  SolvedStore.of(set.plan.layout, solvedOf(set, options), root, mostBytes);

const inFolder = (): readonly string[] => readdirSync(root).filter((name) => name.startsWith('matquant-stored-'));

describe('a store of solved projections', () => {
  it.each<Omit<LayoutOptions, 'bits'>>([
    ab,
    { block: 64, decode: 'ab', tables: 'fp16', biased: [2, 8] },
    { block: 32, decode: 'mid', tables: 'c8' },
    { block: 32, decode: 'signed', tables: 'c8' },
    { block: 32, decode: 'tied', tables: 'c8' },
    { block: 'channel', decode: 'ab', tables: 'fp16' },
  ])('of %j reads like the data file, from memory and from files', async (asked) => {
    const options = { ...asked, bits: CHAIN };
    const set = setOf(JSON.stringify(asked), options);
    const data = readFileSync(set.dataPath);
    for (const mostBytes of [undefined, 0]) {
      const store = await storeOf(set, options, mostBytes);
      expect(inFolder().length).toBe(mostBytes === 0 ? 1 : 0);
      expect(store.layout).toEqual(set.written.layout);
      for (const place of store.layout.projections)
        for (const { range } of piecesOf(place, store.parts(place.id))) expectRange(store, range, data);
      store.close();
      expect(inFolder()).toEqual([]);
    }
  });

  it.each([undefined, 0])('is written as the set that its projections make (%p bytes in memory)', async (mostBytes) => {
    const set = setOf(`written ${mostBytes}`, ab);
    const store = await storeOf(set, ab, mostBytes);
    const path = join(root, `again-${mostBytes}.data`);
    expect(await writeData(path, set.plan, store)).toEqual(set.written);
    expect(readFileSync(path).equals(readFileSync(set.dataPath))).toBe(true);
    store.close();
  });

  it.each([undefined, 0])('gives another one where tables and codes learn (%p bytes in memory)', async (mostBytes) => {
    const set = setOf(`learned ${mostBytes}`, ab);
    const store = await storeOf(set, ab, mostBytes);
    const place = store.layout.projections[0] as ProjectionPlace;
    const before = store.parts(place.id);
    const table = before.tables.get(2) as StoredTable;
    const codes = before.codes.map((code) => code ^ 1);
    const learned = store.with([[place.id, { codes, tables: new Map([[4, table]]) }]]);
    expect(store.parts(place.id)).toEqual(before);
    expect(learned.parts(place.id)).toEqual({ ...before, codes, tables: new Map([...before.tables, [4, table]]) });
    expect(codesAt(learned, place, 8)).toEqual(codes);
    expect(codesAt(store, place, 8)).toEqual(before.codes);
    // The last bit belongs to int8, and the table to int4.
    expect([2, 3, 4, 6, 8].filter((bits) => learned.digest(bits) !== store.digest(bits))).toEqual([4, 6, 8]);
    expect(store.with([[place.id, { codes }]]).digest(6)).toBe(store.digest(6));
    learned.close();
  });

  it('lacks nothing', async () => {
    const set = setOf('short', ab);
    async function* first(): AsyncGenerator<StoredProjection> {
      for await (const each of solvedOf(set, ab)) {
        yield each;
        return;
      }
    }
    await expect(SolvedStore.of(set.plan.layout, first(), root, 0)).rejects.toThrow('layers.0.up was not solved');
    expect(inFolder()).toEqual([]);
  });
});

function expectRange(store: SolvedStore, range: Range, data: Buffer): void {
  const { offset, length } = range;
  const whole = store.tensor(range, 'uint8', [length]);
  expect(Buffer.from(whole.bytes()).equals(data.subarray(offset, offset + length))).toBe(true);
  const part = Buffer.from(whole.bytes(3, Math.min(9, length)));
  expect(part.equals(data.subarray(offset + 3, offset + Math.min(9, length)))).toBe(true);
}
