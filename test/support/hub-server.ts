/**
 * A server that speaks as much of the Hugging Face hub's API as downloads use: repository information, file lists, files with ranges,
 * redirects of large files to another host, digests, refusals, and connections that break.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HubRepository {
  /** `models/ORG/NAME` or `datasets/ORG/NAME`. */
  readonly id: string;
  readonly files: Readonly<Record<string, Uint8Array | string>>;
  /** Sizes that the list of files states, where they are not those of the files. */
  readonly sizes?: Readonly<Record<string, number>>;
  /** Only this token may read it. */
  readonly gated?: string;
}

export interface HubServer {
  readonly endpoint: string;
  /** Method and path of every request for the contents of a file, with its range: `onnx/model.onnx 100-`. */
  readonly downloads: string[];
  /** Authorization headers that the second host was sent. */
  readonly leaked: string[];
  /** The next answers with this file end after so many bytes each. */
  readonly breaks: Map<string, number[]>;
  /** The next answer with this file stops after so many bytes, and the connection stays open. */
  readonly stalls: Map<string, number>;
  /** Files that come with other bytes. */
  readonly wrong: Set<string>;
  close(): Promise<void>;
}

/** Larger files are in LFS. */
const LFS = 10_000;
export const COMMIT: string = 'c0ffee'.repeat(7).slice(0, 40);

const hash = (kind: string, ...parts: readonly (Uint8Array | string)[]): string =>
  parts.reduce((state, part) => state.update(part), createHash(kind)).digest('hex');

const listen = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });

const closed = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.closeAllConnections();
    server.close(() => resolve());
  });

/** Starts both hosts. */
export async function startHub(repositories: readonly HubRepository[]): Promise<HubServer> {
  const [downloads, leaked]: [string[], string[]] = [[], []];
  const [breaks, stalls, wrong] = [new Map<string, number[]>(), new Map<string, number>(), new Set<string>()];
  const send = (request: IncomingMessage, response: ServerResponse, path: string, contents: Buffer): void => {
    downloads.push(`${path} ${request.headers.range?.replace('bytes=', '') ?? ''}`.trim());
    const start = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    if (start >= contents.length && start > 0) return void response.writeHead(416).end();
    const bytes = Buffer.from(contents.subarray(start));
    if (wrong.has(path)) bytes[0] = (bytes[0] as number) ^ 1;
    const range = start > 0 ? { 'content-range': `bytes ${start}-${contents.length - 1}/${contents.length}` } : {};
    response.writeHead(start > 0 ? 206 : 200, { 'content-length': bytes.length, ...range });
    const stall = stalls.get(path);
    stalls.delete(path);
    if (stall !== undefined) return void response.write(bytes.subarray(0, stall));
    const end = breaks.get(path)?.shift();
    if (end === undefined) return void response.end(bytes);
    response.write(bytes.subarray(0, end), () => setTimeout(() => response.destroy(), 20));
  };
  const find = (id: string): HubRepository | undefined => repositories.find((each) => each.id === id);
  const second = createServer((request, response) => {
    if (request.headers.authorization !== undefined) leaked.push(request.headers.authorization);
    const url = new URL(request.url ?? '', 'http://host');
    const [id, path] = [url.searchParams.get('id') ?? '', url.searchParams.get('path') ?? ''];
    send(request, response, path, Buffer.from(find(id)?.files[path] ?? ''));
  });
  const host = await listen(second);
  const first = createServer((request, response) => {
    const url = decodeURIComponent(new URL(request.url ?? '', 'http://host').pathname);
    const refuse = (status: number, code: string): void =>
      void response.writeHead(status, { 'x-error-code': code }).end('{}');
    const parts = /^\/(?:api\/)?(?:(models|datasets)\/)?([^/]+\/[^/]+)\/(revision|tree|resolve)\/([^/?]+)\/?(.*)$/.exec(
      url,
    );
    const [, type = 'models', name = '', what = '', revision = '', path = ''] = parts ?? [];
    const repository = find(`${type}/${name}`);
    if (repository === undefined) return refuse(401, 'RepoNotFound');
    if (revision !== 'main' && revision !== COMMIT) return refuse(404, 'RevisionNotFound');
    const json = (value: unknown): void =>
      void response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (what === 'revision') return json({ _id: '1', id: name, sha: COMMIT, lastModified: '2026-01-01' });
    if (what === 'tree')
      return json(Object.entries(repository.files).map((file) => entryOf(file, repository.sizes?.[file[0]])));
    const { gated } = repository;
    if (gated !== undefined && request.headers.authorization !== `Bearer ${gated}`) return refuse(403, 'GatedRepo');
    const contents = repository.files[path];
    if (contents === undefined) return refuse(404, 'EntryNotFound');
    if (contents.length <= LFS) return send(request, response, path, Buffer.from(contents));
    const location = `${host}/?id=${encodeURIComponent(repository.id)}&path=${encodeURIComponent(path)}`;
    response.writeHead(302, { location, 'x-linked-etag': `"${hash('sha256', contents)}"` }).end();
  });
  const endpoint = await listen(first);
  const close = async (): Promise<void> => {
    await Promise.all([closed(first), closed(second)]);
  };
  return { endpoint, downloads, leaked, breaks, stalls, wrong, close };
}

function entryOf([path, contents]: readonly [string, Uint8Array | string], stated?: number): unknown {
  const bytes = Buffer.from(contents);
  const size = stated ?? bytes.length;
  const oid = hash('sha1', `blob ${bytes.length}\0`, bytes);
  const entry = { type: 'file', path, size, oid };
  return size > LFS ? { ...entry, lfs: { oid: hash('sha256', bytes), size, pointerSize: 130 } } : entry;
}
