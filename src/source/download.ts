/** Downloads one file: resumed where it stopped, checked before it gets its name. */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream, existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { fail } from '../diagnostics.js';
import { ATTEMPTS, pause, reasonOf } from './hub-requests.js';

export interface RemoteFile {
  readonly url: string;
  /** Where messages say it is: `ORG/NAME: path`. */
  readonly at: string;
  readonly bytes: number;
  /** sha256 of the contents (files in LFS), or git's sha1 of a blob. */
  readonly digest: { readonly kind: 'sha256' | 'git'; readonly hex: string };
}

export interface DownloadOptions {
  readonly fetch: typeof fetch;
  readonly signal: AbortSignal;
  /** Called with the bytes of this file that are on disk. */
  readonly onBytes: (bytes: number) => void;
}

/**
 * Writes a remote file to `path` by way of `path.incomplete`, which a later call goes on with. Nothing is at `path` before its digest
 * is right. Fails with `hub-network` when the connection breaks again and again, `hub-damaged`, or `disk-full`.
 */
export async function download(file: RemoteFile, path: string, options: DownloadOptions): Promise<void> {
  if (existsSync(path)) return options.onBytes(file.bytes);
  const incomplete = `${path}.incomplete`;
  mkdirSync(dirname(path), { recursive: true });
  await fetchAll(file, incomplete, options);
  const found = await digestOf(incomplete, file, options.signal);
  if (found !== file.digest.hex) {
    rmSync(incomplete);
    fail('hub-damaged', file.at, `What was downloaded has the digest ${found}, not ${file.digest.hex}`);
  }
  renameSync(incomplete, path);
}

const sizeOf = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;

/** Asks for what is missing until all is there; a connection that gave bytes before it broke does not count as an attempt. */
async function fetchAll(file: RemoteFile, path: string, options: DownloadOptions): Promise<void> {
  if (!existsSync(path) || sizeOf(path) > file.bytes) await append(path, 'w', Readable.from([]), options);
  for (let failed = 0; sizeOf(path) < file.bytes; ) {
    const before = sizeOf(path);
    const problem = await fetchRest(file, path, before, options);
    options.signal.throwIfAborted();
    if (sizeOf(path) >= file.bytes) return;
    failed = sizeOf(path) > before ? 0 : failed + 1;
    if (failed >= ATTEMPTS)
      fail('hub-network', file.at, `The connection breaks after ${before} of ${file.bytes} bytes (${problem})`);
    await pause(failed, options.signal);
  }
}

/** One request for the bytes from `start`. Returns why it ended early. */
async function fetchRest(file: RemoteFile, path: string, start: number, options: DownloadOptions): Promise<string> {
  const headers = start > 0 ? { range: `bytes=${start}-` } : {};
  // The range counts bytes of the file, so nothing may be compressed on the way.
  const response = await options.fetch(file.url, { headers: { ...headers, 'accept-encoding': 'identity' } });
  if (response.body === null) return 'an empty answer';
  if (response.status === 416) {
    await response.body.cancel();
    rmSync(path);
    return 'the file has another size';
  }
  const isRest = response.status === 206;
  try {
    const body = Readable.fromWeb(response.body as ReadableStream);
    await append(path, isRest ? 'a' : 'w', body, options, isRest ? start : 0, file.bytes);
    return 'the answer is too short';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOSPC' || code === 'EDQUOT') fail('disk-full', path, `There is no room for ${file.at}`);
    return reasonOf(error);
  }
}

/** Writes a stream to the end of a file, or over it; more than `most` bytes are not the file and are dropped. */
async function append(
  path: string,
  flags: 'a' | 'w',
  body: Readable,
  { signal, onBytes }: DownloadOptions,
  start = 0,
  most: number = Infinity,
): Promise<void> {
  let bytes = start;
  const count = new Transform({
    transform(piece: Uint8Array, _encoding, done) {
      const kept = piece.subarray(0, Math.max(0, most - bytes));
      bytes += kept.length;
      onBytes(bytes);
      done(null, kept);
    },
  });
  await pipeline(body, count, createWriteStream(path, { flags }), { signal });
}

async function digestOf(path: string, { digest, bytes }: RemoteFile, signal: AbortSignal): Promise<string> {
  const hash: Hash = digest.kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(piece as Buffer);
  return hash.digest('hex');
}
