/**
 * A range of bytes of a file over HTTP. A connection that breaks is taken up where it stopped, by a Range request. A server
 * without Range sends the whole file: what lies before `start` is then read and dropped.
 */
import { NestedError } from './errors.js';

/** How a range of a file is downloaded. */
export interface DownloadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the number of new bytes, as they arrive. */
  readonly onBytes?: ((bytes: number) => void) | undefined;
  /** Called when the server sends whole files only. */
  readonly onWholeFile?: (() => void) | undefined;
  /** Attempts without a new byte before it gives up; default 5. */
  readonly attempts?: number | undefined;
  /** Milliseconds before the second attempt, doubled each time; default 500. */
  readonly delay?: number | undefined;
}

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
    const received = await attempt(url, start + done, target.subarray(done), options);
    done += received;
    if (done === target.length) return;
    failures = received > 0 ? 0 : failures + 1;
    if (failures >= attempts)
      throw new NestedError('network', `${url}: the connection broke ${attempts} times at byte ${start + done}`);
    await pause(failures === 0 ? 0 : delay * 2 ** (failures - 1), signal);
  }
}

/** One request; returns how many bytes came before the end or a broken connection. */
async function attempt(url: string, from: number, target: Uint8Array, options: DownloadOptions): Promise<number> {
  try {
    return await fill(url, from, target, options);
  } catch (error) {
    options.signal?.throwIfAborted();
    if (error instanceof NestedError) throw error;
    return error instanceof Broken ? error.received : 0;
  }
}

/** A connection that ended early, after so many bytes of the target. */
class Broken extends Error {
  readonly received: number;

  constructor(received: number) {
    super('the connection broke');
    this.received = received;
  }
}

/** One request; returns how many bytes of the target it filled. */
async function fill(url: string, from: number, target: Uint8Array, options: DownloadOptions): Promise<number> {
  const headers = { Range: `bytes=${from}-${from + target.length - 1}` };
  const response = await fetch(url, { headers, signal: options.signal ?? null });
  if (!response.ok || response.body === null)
    throw new NestedError('http', `${url}: the server answered ${response.status} ${response.statusText}`.trim());
  const isWhole = response.status === 200;
  if (isWhole) options.onWholeFile?.();
  return pour(response.body, isWhole ? from : 0, target, options);
}

/** Drops `skip` bytes of a stream and puts the following ones into the target. */
async function pour(
  body: ReadableStream<Uint8Array>,
  skip: number,
  target: Uint8Array,
  { onBytes }: DownloadOptions,
): Promise<number> {
  const reader = body.getReader();
  let [dropped, filled] = [0, 0];
  try {
    while (filled < target.length) {
      const { done, value } = await reader.read();
      if (done) break;
      const unwanted = Math.min(skip - dropped, value.length);
      dropped += unwanted;
      const wanted = value.subarray(unwanted, unwanted + target.length - filled);
      target.set(wanted, filled);
      filled += wanted.length;
      if (wanted.length > 0) onBytes?.(wanted.length);
    }
  } catch {
    throw new Broken(filled);
  } finally {
    await reader.cancel().catch(() => undefined);
  }
  return filled;
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        reject(signal.reason);
      },
      { once: true },
    );
  });
}
