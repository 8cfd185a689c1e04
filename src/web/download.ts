/**
 * A range of bytes of a file. A connection that breaks is taken up where it stopped. A server without Range sends the whole file:
 * what lies before the range is read and dropped.
 */
import { NestedError } from './errors.js';

/** How a range of a file is downloaded. */
export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of new bytes, as they arrive; the download waits for its promise. */
  readonly onBytes?: ((bytes: number) => Promise<void> | void) | undefined;
  /** Called when the server sends whole files only. */
  readonly onWholeFile?: (() => void) | undefined;
  /** Attempts without a new byte before it gives up; default 5. */
  readonly attempts?: number | undefined;
  /** Milliseconds before the second attempt, doubled each time; default 500. */
  readonly delay?: number | undefined;
  /** Milliseconds without a byte after which a connection counts as broken; default 30 000. */
  readonly stall?: number | undefined;
}

class Broken extends Error {}

/** Fills `target` with the bytes from `start` on. Fails with `http` or `network`; an abort of the signal is thrown as it is. */
export async function download(
  url: string,
  start: number,
  target: Uint8Array,
  options: DownloadOptions = {},
): Promise<void> {
  const { signal, attempts = 5, delay = 500 } = options;
  let [done, failures] = [0, 0];
  while (done < target.length) {
    const before = done;
    const problem = await attempt(url, start + done, target.subarray(done), {
      ...options,
      onBytes(bytes) {
        done += bytes;
        return options.onBytes?.(bytes);
      },
    });
    if (done === target.length) return;
    failures = done > before ? 0 : failures + 1;
    if (failures >= attempts)
      throw new NestedError('network', `${url}: ${attempts} attempts failed at byte ${start + done}: ${problem}`);
    await pause(failures === 0 ? 0 : delay * 2 ** (failures - 1), signal);
  }
}

/** The whole of a small file, as it is now. */
export async function fetchWhole(url: string, signal: AbortSignal | undefined): Promise<Uint8Array> {
  try {
    const init = { cache: 'no-cache', signal: signal ?? null };
    const response = await fetch(url, init);
    if (!response.ok) throw refused(url, response);
    return new Uint8Array(await response.arrayBuffer());
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof NestedError ? error : new NestedError('network', `${url}: ${unreachable(url)}`);
  }
}

/** One request; returns why it ended before the target was full. */
async function attempt(url: string, from: number, target: Uint8Array, options: DownloadOptions): Promise<string> {
  const given = options.signal;
  const stalled = new AbortController();
  const { signal } = stalled;
  const stop = (): void => stalled.abort();
  given?.throwIfAborted();
  given?.addEventListener('abort', stop);
  try {
    return await fill(url, from, target, { ...options, signal }, stop);
  } catch (error) {
    given?.throwIfAborted();
    if (error instanceof NestedError) throw error;
    return error instanceof Broken ? error.message : unreachable(url);
  } finally {
    given?.removeEventListener('abort', stop);
  }
}

/** `stop` ends the connection. */
async function fill(
  url: string,
  from: number,
  target: Uint8Array,
  options: DownloadOptions,
  stop: () => void,
): Promise<string> {
  const { stall = 30_000, signal } = options;
  let timer = setTimeout(stop, stall);
  const onBytes = async (bytes: number): Promise<void> => {
    clearTimeout(timer);
    await options.onBytes?.(bytes);
    timer = setTimeout(stop, stall);
  };
  try {
    const headers = { Range: `bytes=${from}-${from + target.length - 1}` };
    // The store has a copy, the HTTP cache needs none.
    const init = { headers, cache: 'no-store', signal: signal ?? null };
    const response = await fetch(url, init);
    const skip = startOf(response, url, from);
    if (skip > 0 || response.status === 200) options.onWholeFile?.();
    return await pour(response.body as ReadableStream<Uint8Array>, skip, target, onBytes);
  } finally {
    clearTimeout(timer);
    // The rest of a whole file is not wanted.
    stop();
  }
}

/** Bytes at the beginning of the answer that were not asked for. */
function startOf(response: Response, url: string, from: number): number {
  const { status, headers, body } = response;
  if (status === 429 || status >= 500) throw new Broken(`the server answered ${status}`);
  if (status === 416)
    throw new NestedError('http', `${url}: the file on the server ends before byte ${from}; upload it again`);
  if (!response.ok || body === null) throw refused(url, response);
  if (status === 200) return from;
  // Other origins may hide the header; the digest decides then.
  const range = headers.get('Content-Range');
  const [, first] = /^bytes (\d+)-/.exec(range ?? '') ?? [];
  if (range !== null && Number(first) !== from)
    throw new NestedError('http', `${url}: the server sent ${range} when asked for bytes from ${from} on`);
  return 0;
}

async function pour(
  body: ReadableStream<Uint8Array>,
  skip: number,
  target: Uint8Array,
  onBytes: (bytes: number) => Promise<void>,
): Promise<string> {
  const reader = body.getReader();
  let [dropped, filled] = [0, 0];
  while (filled < target.length) {
    const { done, value } = await reader.read().catch(() => {
      throw new Broken('the connection broke');
    });
    if (done) break;
    const unwanted = Math.min(skip - dropped, value.length);
    dropped += unwanted;
    const wanted = value.subarray(unwanted, unwanted + target.length - filled);
    target.set(wanted, filled);
    filled += wanted.length;
    await onBytes(wanted.length);
  }
  // The end of the answer keeps the connection for the next one.
  if (filled === target.length && skip === 0) await reader.read();
  return 'the file on the server ends there';
}

const refused = (url: string, { status, statusText }: Response): NestedError =>
  new NestedError('http', `${url}: the server answered ${status} ${statusText}`.trim());

/** Pages are not told why. */
function unreachable(url: string): string {
  const { origin } = globalThis as { origin?: string };
  const isForeign = origin !== undefined && new URL(url).origin !== origin;
  return `the server cannot be reached${isForeign ? `, or does not allow pages of ${origin} (CORS)` : ''}`;
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
