/** A plain static server with Range requests, as nginx or GitHub Pages are, and the ways in which servers and connections fail. */
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join } from 'node:path';

/** How `.data` files are sent; it may be changed while the server runs. */
export interface Behaviour {
  /** Send whole files whatever is asked for. */
  whole?: boolean;
  /** Break the connection after so many bytes of an answer. */
  cut?: number | undefined;
  /** Awaited before such an answer is cut. */
  beforeCut?: (() => Promise<unknown>) | undefined;
  /** Called with the first byte of an answer, which waits for its promise. */
  hold?: (start: number) => Promise<void>;
}

export interface StaticServer {
  /** Address of the root, with a slash. */
  readonly url: string;
  readonly behaviour: Behaviour;
  /** Ranges of `.data` files that were asked for. */
  readonly asked: string[];
  /** Bytes of `.data` files that were sent. */
  sent(): number;
  /** Bytes of all files that were sent. */
  sentInAll(): number;
  close(): Promise<void>;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
};

/** Serves folders: `mounts` has the folder for each first part of a path, and '' for the root. */
export async function serveFolders(mounts: Readonly<Record<string, string>>): Promise<StaticServer> {
  const behaviour: Behaviour = {};
  const asked: string[] = [];
  const counts = { data: 0, all: 0 };
  const server = createServer((request, response) => {
    void answer(request, response, pathFor(mounts, request.url ?? '/'), { behaviour, asked, counts });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    behaviour,
    asked,
    sent: () => counts.data,
    sentInAll: () => counts.all,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function pathFor(mounts: Readonly<Record<string, string>>, url: string): string | undefined {
  const path = decodeURIComponent(new URL(url, 'http://server').pathname).slice(1);
  const mount = Object.keys(mounts)
    .filter((name) => name === '' || path.startsWith(`${name}/`))
    .sort((a, b) => b.length - a.length)[0];
  if (mount === undefined) return undefined;
  const rest = mount === '' ? path : path.slice(mount.length + 1);
  const found = join(mounts[mount] as string, rest.endsWith('/') || rest === '' ? `${rest}index.html` : rest);
  return existsSync(found) && statSync(found).isFile() ? found : undefined;
}

interface State {
  readonly behaviour: Behaviour;
  readonly asked: string[];
  readonly counts: { data: number; all: number };
}

async function answer(request: IncomingMessage, response: ServerResponse, path: string | undefined, state: State) {
  if (path === undefined) return void response.writeHead(404).end();
  const isData = extname(path) === '.data';
  const { whole, cut, beforeCut, hold } = isData ? state.behaviour : {};
  const { size } = statSync(path);
  const range = request.headers.range;
  if (isData) state.asked.push(range ?? '');
  const [, from, to] = (whole ? undefined : /^bytes=(\d+)-(\d+)$/.exec(range ?? '')) ?? [];
  const start = Number(from ?? 0);
  const end = Math.min(Number(to ?? size - 1), size - 1);
  if (start >= size) return void response.writeHead(416, { 'Content-Range': `bytes */${size}` }).end();
  await hold?.(start);
  response.writeHead(from === undefined ? 200 : 206, {
    'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
    'Content-Length': end - start + 1,
    ...(from !== undefined && { 'Content-Range': `bytes ${start}-${end}/${size}` }),
  });
  const last = cut === undefined ? end : Math.min(end, start + cut - 1);
  let sent = 0;
  for await (const chunk of createReadStream(path, { start, end: last })) {
    if (response.destroyed) return;
    sent += (chunk as Buffer).length;
    state.counts.all += (chunk as Buffer).length;
    if (isData) state.counts.data += (chunk as Buffer).length;
    await new Promise((resolve) => response.write(chunk as Buffer, resolve));
  }
  if (sent === end - start + 1) return void response.end();
  await beforeCut?.();
  response.destroy();
}
