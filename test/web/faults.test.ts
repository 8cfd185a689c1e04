/** What servers, stores and callers do wrong, and what the browser's reader makes of it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from '@jest/globals';
import { noStore, openNested } from '../../src/web/index.js';
import { root } from '../support/paths.js';
import { asked, DATA, fast, memoryStore, runtime, said, serve, stopServing } from '../support/web-set.js';

afterEach(stopServing);

/** No store, so that everything comes from the server. */
const options = () => ({ ort: runtime(), store: noStore, download: { ...fast, stall: 200 } });

describe('servers', () => {
  it('may be busy for a while', async () => {
    const url = await serve({ first: [503, 429].map((status) => (response) => void response.writeHead(status).end()) });
    const model = await openNested(url, options());
    expect(await model.run({ x: '' })).toEqual({ y: said(2, '') });
    expect(asked).toHaveLength(3);
  });

  it('may stay busy, which is said', async () => {
    const busy = (response: { writeHead(status: number): { end(): void } }): void => response.writeHead(503).end();
    const url = await serve({ first: [busy, busy, busy] });
    const opened = openNested(url, options());
    await expect(opened).rejects.toThrow(/3 attempts failed at byte 0: the server answered 503$/);
  });

  it('may stop sending without closing the connection', async () => {
    const url = await serve({
      first: [
        (response) => {
          response.writeHead(206, { 'Content-Length': 3000 });
          response.write(DATA.subarray(0, 500));
        },
      ],
    });
    const model = await openNested(url, options());
    expect(asked).toEqual(['bytes=0-2999', 'bytes=500-2999']);
    expect(await model.run({ x: '' })).toEqual({ y: said(2, '') });
  });

  it('may hold a file that is too short', async () => {
    const short = 'the file on the server ends';
    await expect(openNested(await serve({ length: 2000 }), options())).rejects.toThrow(`${short} before byte 2000`);
    await stopServing();
    await expect(openNested(await serve({ length: 2000, whole: true }), options())).rejects.toThrow(`${short} there`);
  });

  it('may send another range than was asked for', async () => {
    const url = await serve({
      first: [
        (response) => response.writeHead(206, { 'Content-Range': 'bytes 7-3006/5000' }).end(DATA.subarray(7, 3007)),
      ],
    });
    await expect(openNested(url, options())).rejects.toMatchObject({ code: 'http' });
  });

  it('may redirect', async () => {
    const url = await serve({ first: [(response) => response.writeHead(302, { Location: 'm.data?again' }).end()] });
    const model = await openNested(url, options());
    expect(await model.run({ x: '' })).toEqual({ y: said(2, '') });
    expect(asked).toEqual(['bytes=0-2999', 'bytes=0-2999']);
  });

  it('may not be there', async () => {
    const url = await serve();
    await stopServing();
    await expect(openNested(url, options())).rejects.toThrow(/m\.json: the server cannot be reached/);
  });
});

describe('an interrupted download', () => {
  it.each([
    ['an abort', memoryStore(), 3000],
    ['an abort, without a store', noStore, 0],
  ])('goes on after %s', async (_, store, from) => {
    const url = await serve({
      first: [
        (response) => {
          response.writeHead(206, { 'Content-Length': 5000 });
          response.write(DATA.subarray(0, 3500));
        },
      ],
    });
    const stop = new AbortController();
    const onProgress = ({ loaded }: { readonly loaded: number }): void => {
      if (loaded === 3500) stop.abort();
    };
    const download = { ...fast, stall: 60_000 };
    const stopped = openNested(url, { ...options(), store, download, bits: 4, onProgress, signal: stop.signal });
    await expect(stopped).rejects.toThrow('abort');
    const model = await openNested(url, { ...options(), store, bits: 4 });
    expect(await model.run({ x: '' })).toEqual({ y: said(4, '') });
    expect(asked).toEqual(['bytes=0-4999', `bytes=${from}-4999`]);
  });

  it('takes nothing that is wrong into the store', async () => {
    const store = memoryStore();
    await expect(openNested(await serve({ damaged: 2000 }), { ...options(), store })).rejects.toMatchObject({
      code: 'digest',
    });
    await stopServing();
    const model = await openNested(await serve(), { ...options(), store });
    expect(await model.run({ x: '' })).toEqual({ y: said(2, '') });
  });
});

describe('calls at the same time', () => {
  it('are carried out one after the other, and no session is released while it runs', async () => {
    const ort = runtime();
    const { create } = ort.InferenceSession;
    const events: string[] = [];
    ort.InferenceSession.create = async (graph, sessionOptions) => {
      const session = await create(graph, sessionOptions);
      return {
        ...session,
        run: async (feeds) => {
          events.push('run');
          await new Promise((resolve) => setTimeout(resolve, 20));
          events.push('end');
          return session.run(feeds);
        },
        release: async () => {
          events.push('release');
          return session.release();
        },
      };
    };
    const model = await openNested(await serve(), { ort, store: memoryStore() });
    const first = model.upgrade(4);
    const second = model.upgrade(2);
    const third = model.upgrade(4);
    const answers: unknown[] = [];
    while (answers.length < 5) answers.push(await model.run({ x: '' }));
    await Promise.all([first, second, third, model.run({ x: '' }), model.run({ x: '' })]);
    expect(model.model).toBe('int4');
    expect(ort.released).toEqual(['graph of int2', 'graph of int4', 'graph of int2']);
    const open = events.map(
      (_, at) =>
        events.slice(0, at + 1).filter((event) => event === 'run').length -
        events.slice(0, at + 1).filter((event) => event === 'end').length,
    );
    expect(Math.max(...open)).toBe(1);
    expect(events.filter((event, at) => event === 'release' && open[at] !== 0)).toEqual([]);
  });
});

describe('the module', () => {
  it('has less than 8 KB, compressed', () => {
    const folder = join(root, 'dist/src/web');
    const files = readdirSync(folder).filter((name) => name.endsWith('.js'));
    const bytes = Buffer.concat(files.map((name) => readFileSync(join(folder, name))));
    expect(gzipSync(bytes, { level: 9 }).length).toBeLessThan(8192);
  });

  it('imports nothing outside itself', () => {
    const folder = join(root, 'dist/src/web');
    const files = readdirSync(folder).filter((name) => name.endsWith('.js'));
    const code = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n');
    const imported = [...code.matchAll(/from '([^']+)'|import\('([^']+)'\)/g)].map(([, name]) => name);
    expect(imported.filter((name) => !/^\.\/[\w-]+\.js$/.test(name ?? ''))).toEqual([]);
  });
});
