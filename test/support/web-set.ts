/** A small set on an HTTP server that fails as real ones do, and a runtime that answers with what it was given. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { OpenOptions, Store } from '../../src/web/index.js';

export type Tensor = string;

/** Three pieces: what all need, int2, int4. */
export const DATA: Uint8Array = Uint8Array.from({ length: 5000 }, (_, at) => (at * 31 + (at >> 5)) & 255);
const ENDS = [1000, 3000, 5000] as const;
const GRAPHS = { 'm_int2.onnx': Buffer.from('graph of int2'), 'm_int4.onnx': Buffer.from('graph of int4') };
const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const manifest: {
  readonly sections: readonly {
    readonly bits: number;
    readonly start: number;
    readonly end: number;
    readonly sha256: string;
  }[];
} & Record<string, unknown> = {
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

export interface Behaviour {
  /** Ignore Range. */
  readonly whole?: boolean;
  /** Cut each answer of the data file after so many bytes. */
  readonly cut?: number;
  /** Flip a bit of this byte. */
  readonly damaged?: number;
  /** Answers the first requests of the data file; the others are answered as usual. */
  readonly first?: readonly ((response: ServerResponse) => void)[];
  /** Length of the data file. */
  readonly length?: number;
}

let server: Server | undefined;

/** Ends the server; for `afterEach`. */
export async function stopServing(): Promise<void> {
  server?.closeAllConnections();
  await new Promise((resolve) => server?.close(resolve) ?? resolve(undefined));
}

/** Ranges that were asked for, of the data file. */
export const asked: string[] = [];

export async function serve(behaviour: Behaviour = {}): Promise<string> {
  asked.length = 0;
  const data = DATA.slice(0, behaviour.length);
  if (behaviour.damaged !== undefined) data[behaviour.damaged] = (data[behaviour.damaged] as number) ^ 1;
  server = createServer((request, response) => answer(request, response, data, behaviour));
  await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/set/m.json`;
}

function answer(request: IncomingMessage, response: ServerResponse, data: Uint8Array, behaviour: Behaviour): void {
  const { whole, cut, first } = behaviour;
  const name = (request.url ?? '').replace('/set/', '').replace(/\?.*/, '');
  if (name === 'm.json') return void response.end(JSON.stringify(manifest));
  if (name in GRAPHS) return void response.end(GRAPHS[name as keyof typeof GRAPHS]);
  if (name !== 'm.data') return void response.writeHead(404).end();
  const range = request.headers.range ?? '';
  asked.push(range);
  const special = first?.[asked.length - 1];
  if (special !== undefined) return void special(response);
  const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(range) ?? [];
  if (!whole && Number(from) >= data.length) return void response.writeHead(416).end();
  const body = whole ? data : data.subarray(Number(from), Number(to) + 1);
  response.writeHead(whole ? 200 : 206, { 'Content-Length': body.length });
  if (cut === undefined || cut >= body.length) return void response.end(body);
  response.write(body.subarray(0, cut), () => response.destroy());
}

/** A runtime that answers with what it was given. */
export function runtime(): OpenOptions<Tensor>['ort'] & { released: string[] } {
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

export function memoryStore(): Store & { readonly kept: Map<string, Uint8Array> } {
  const kept = new Map<string, Uint8Array>();
  return {
    kept,
    read: async (key) => kept.get(key),
    write: async (key, bytes) => kept.set(key, bytes.slice()).size > 0,
    remove: async (key) => void kept.delete(key),
  };
}

export const fast: { readonly attempts: number; readonly delay: number } = { attempts: 3, delay: 1 };
export const said = (bits: 2 | 4, x: string): string =>
  `graph of int${bits}, m.data, ${digest(DATA.subarray(0, ENDS[bits / 2]))}, ${x}`;
