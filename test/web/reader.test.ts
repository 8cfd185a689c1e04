/** The browser's reader against a real HTTP server: ranges, servers without them, broken connections, damaged bytes, upgrades. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { NestedError, type OpenOptions, openNested, type Progress, type Store } from '../../src/web/index.js';

type Tensor = string;

/** Three pieces: what all need, int2, int4. */
const DATA = Uint8Array.from({ length: 5000 }, (_, at) => (at * 31 + (at >> 5)) & 255);
const ENDS = [1000, 3000, 5000] as const;
const GRAPHS = { 'm_int2.onnx': Buffer.from('graph of int2'), 'm_int4.onnx': Buffer.from('graph of int4') };
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

const manifest = {
  format: 'matquant-set',
  data: 'm.data',
  restSha256: digest(DATA.subarray(0, ENDS[0])),
  sections: [
    { bits: 2, start: 1000, end: ENDS[1], sha256: digest(DATA.subarray(1000, 3000)) },
    { bits: 4, start: 3000, end: ENDS[2], sha256: digest(DATA.subarray(3000, 5000)) },
  ],
  graphs: [
    { file: 'm_int2.onnx', name: 'int2', bits: 2, bytesNeeded: ENDS[1], sha256: digest(GRAPHS['m_int2.onnx']) },
    { file: 'm_int4.onnx', name: 'int4', bits: 4, bytesNeeded: ENDS[2], sha256: digest(GRAPHS['m_int4.onnx']) },
  ],
};

interface Behaviour {
  /** Ignore Range. */
  readonly whole?: boolean;
  /** Cut each answer of the data file after so many bytes. */
  readonly cut?: number;
  /** Flip a bit of this byte. */
  readonly damaged?: number;
}

let server: Server | undefined;
afterEach(async () => {
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
});

/** Ranges that were asked for, of the data file. */
const asked: string[] = [];

async function serve(behaviour: Behaviour = {}): Promise<string> {
  asked.length = 0;
  const data = DATA.slice();
  if (behaviour.damaged !== undefined) data[behaviour.damaged] = (data[behaviour.damaged] as number) ^ 1;
  server = createServer((request, response) => answer(request, response, data, behaviour));
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/set/m.json`;
}

function answer(request: IncomingMessage, response: ServerResponse, data: Uint8Array, { whole, cut }: Behaviour): void {
  const name = (request.url ?? '').replace('/set/', '');
  if (name === 'm.json') return void response.end(JSON.stringify(manifest));
  if (name in GRAPHS) return void response.end(GRAPHS[name as keyof typeof GRAPHS]);
  if (name !== 'm.data') return void response.writeHead(404).end();
  const range = request.headers.range ?? '';
  asked.push(range);
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
  const body = whole ? data : data.subarray(Number(from), Number(to) + 1);
  response.writeHead(whole ? 200 : 206, { 'Content-Length': body.length });
  if (cut === undefined || cut >= body.length) return void response.end(body);
  response.write(body.subarray(0, cut), () => response.destroy());
}

/** A runtime that answers with what it was given. */
function runtime(): OpenOptions<Tensor>['ort'] & { released: string[] } {
  const released: string[] = [];
  return {
    released,
    InferenceSession: {
      async create(graph, { externalData }) {
        const name = Buffer.from(graph).toString();
        const [{ path, data }] = externalData as [{ path: string; data: Uint8Array }];
        return {
          inputNames: ['x'],
          outputNames: ['y'],
          run: async ({ x = '' }) => ({ y: `${name}, ${path}, ${digest(data)}, ${x}` }),
          release: async () => void released.push(name),
        };
      },
    },
  };
}

function memoryStore(): Store & { readonly kept: Map<string, Uint8Array> } {
  const kept = new Map<string, Uint8Array>();
  return {
    kept,
    read: async (key) => kept.get(key),
    write: async (key, bytes) => kept.set(key, bytes.slice()).size > 0,
    remove: async (key) => void kept.delete(key),
  };
}

const fast = { attempts: 3, delay: 1 };
const said = (bits: 2 | 4, x: string): string =>
  `graph of int${bits}, m.data, ${digest(DATA.subarray(0, ENDS[bits / 2]))}, ${x}`;

describe('a set in the browser', () => {
  it('opens the smallest model from a prefix, and fetches only what a larger one adds', async () => {
    const url = await serve();
    const progress: Progress[] = [];
    const ort = runtime();
    const model = await openNested(url, { ort, store: memoryStore(), onProgress: (each) => progress.push(each) });
    expect(model.model).toBe('int2');
    expect(await model.run({ x: 'cache' })).toEqual({ y: said(2, 'cache') });
    expect(asked).toEqual(['bytes=0-999', 'bytes=1000-2999']);
    expect(progress.at(-1)).toEqual({ loaded: 3000, total: 3000, ranges: true });
    await model.upgrade(4);
    expect(await model.run({ x: 'cache' })).toEqual({ y: said(4, 'cache') });
    expect(asked.slice(2)).toEqual(['bytes=3000-4999']);
    expect(ort.released).toEqual(['graph of int2']);
    await model.upgrade(2);
    expect(await model.run({ x: '' })).toEqual({ y: said(2, '') });
    expect(asked).toHaveLength(3);
    await model.close();
  });

  it('takes broken connections up where they stopped', async () => {
    const url = await serve({ cut: 700 });
    const model = await openNested(url, { ort: runtime(), bits: 4, store: memoryStore(), download: fast });
    expect(await model.run({ x: '' })).toEqual({ y: said(4, '') });
    expect(asked.slice(0, 2)).toEqual(['bytes=0-999', 'bytes=700-999']);
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
    expect(progress.at(-1)).toEqual({ loaded: 5000, total: 5000, ranges: false });
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
    const piece = store.kept.get(manifest.sections[0]?.sha256 as string) as Uint8Array;
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
