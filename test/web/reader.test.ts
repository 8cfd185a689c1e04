/** The browser's reader against a real HTTP server: ranges, servers without them, broken connections, damaged bytes, upgrades. */
import { afterEach, describe, expect, it } from '@jest/globals';
import { NestedError, openNested, type Progress } from '../../src/web/index.js';
import { asked, fast, manifest, memoryStore, runtime, said, serve, stopServing } from '../support/web-set.js';

afterEach(stopServing);

describe('a set in the browser', () => {
  it('opens the smallest model from a prefix, and fetches only what a larger one adds', async () => {
    const url = await serve();
    const progress: Progress[] = [];
    const ort = runtime();
    const model = await openNested(url, { ort, store: memoryStore(), onProgress: (each) => progress.push(each) });
    expect(model.model).toBe('int2');
    expect(await model.run({ x: 'cache' })).toEqual({ y: said(2, 'cache') });
    expect(asked).toEqual(['bytes=0-2999']);
    expect(progress.at(-1)).toEqual({ loaded: 3000, total: 3000, fetched: 3000, ranges: true });
    await model.upgrade(4);
    expect(await model.run({ x: 'cache' })).toEqual({ y: said(4, 'cache') });
    expect(asked.slice(1)).toEqual(['bytes=3000-4999']);
    expect(ort.released).toEqual(['graph of int2']);
    await model.upgrade(2);
    expect(await model.run({ x: '' })).toEqual({ y: said(2, '') });
    expect(asked).toHaveLength(2);
    await model.close();
    await expect(model.run({ x: '' })).rejects.toMatchObject({ code: 'closed' });
  });

  it('takes broken connections up where they stopped', async () => {
    const url = await serve({ cut: 700 });
    const model = await openNested(url, { ort: runtime(), bits: 4, store: memoryStore(), download: fast });
    expect(await model.run({ x: '' })).toEqual({ y: said(4, '') });
    expect(asked.slice(0, 2)).toEqual(['bytes=0-4999', 'bytes=700-4999']);
  });

  it('gives up when nothing arrives any more', async () => {
    const url = await serve({ cut: 0 });
    const opened = openNested(url, { ort: runtime(), store: memoryStore(), download: fast });
    await expect(opened).rejects.toMatchObject({ code: 'network' });
    expect(asked).toHaveLength(3);
  });

  it('works with a server that sends whole files, and says so', async () => {
    const url = await serve({ whole: true });
    const progress: Progress[] = [];
    const options = { ort: runtime(), store: memoryStore(), onProgress: (each: Progress) => progress.push(each) };
    const model = await openNested(url, options);
    await model.upgrade(4, options);
    expect(await model.run({ x: '' })).toEqual({ y: said(4, '') });
    expect(progress.at(-1)).toEqual({ loaded: 5000, total: 5000, fetched: 2000, ranges: false });
    expect(asked).toHaveLength(2);
  });

  it('refuses bytes that are not those of the set, and keeps the model that it has', async () => {
    const url = await serve({ damaged: 4000 });
    const model = await openNested(url, { ort: runtime(), store: memoryStore() });
    await expect(model.upgrade(4)).rejects.toMatchObject({ code: 'digest' });
    expect(await model.run({ x: 'same' })).toEqual({ y: said(2, 'same') });
  });

  it('reads pieces that it stored before, but for those that were damaged there', async () => {
    const store = memoryStore();
    const url = await serve();
    await openNested(url, { ort: runtime(), bits: 4, store });
    asked.length = 0;
    await openNested(url, { ort: runtime(), bits: 4, store });
    expect(asked).toEqual([]);
    const piece = store.kept.get(`${manifest.sections[0]?.sha256}-0`) as Uint8Array;
    piece[7] = (piece[7] as number) ^ 4;
    const model = await openNested(url, { ort: runtime(), bits: 4, store });
    expect(asked).toEqual(['bytes=1000-2999']);
    expect(await model.run({ x: '' })).toEqual({ y: said(4, '') });
  });

  it('names what is wrong', async () => {
    const url = await serve();
    const open = (address: string, bits?: number): Promise<unknown> =>
      openNested(address, { ort: runtime(), store: memoryStore(), ...(bits !== undefined && { bits }) });
    await expect(open(url, 3)).rejects.toThrow('The set has no model int3; it has int2, int4');
    await expect(open(url.replace('m.json', 'm_int2.onnx'))).rejects.toMatchObject({ code: 'manifest' });
    await expect(open(url.replace('m.json', 'x.json'))).rejects.toBeInstanceOf(NestedError);
    const stopped = AbortSignal.abort();
    await expect(openNested(url, { ort: runtime(), signal: stopped })).rejects.toThrow('abort');
  });
});
