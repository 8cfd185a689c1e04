/** What both ends of the ring share: slots, counters, and the first error. */
import { CHUNK } from './payload.js';

/** Bytes of a slot, one chunk, and slots: enough for a writer to be a few pieces behind, 16 MiB in all. */
export const SLOT_BYTES: number = CHUNK;
export const SLOTS = 16;

/** Words of the control block. Counters wrap after 2^31 slots, 4 EiB. */
export const CONTROL = { filled: 0, drained: 1, failed: 2, started: 3, words: 4 } as const;

export interface RingStart {
  readonly descriptor: number;
  readonly control: Int32Array;
  /** Offset in the file and length of each slot; a length below 0 ends the thread. */
  readonly places: Float64Array;
  readonly slots: Uint8Array;
  /** Text of the first error: its code, a line break, its message. */
  readonly error: Uint8Array;
}

export function putError({ control, error }: RingStart, { code = '', message }: NodeJS.ErrnoException): void {
  const { written } = new TextEncoder().encodeInto(`${code}\n${message}`, error);
  Atomics.store(control, CONTROL.failed, written);
}

export function takeError({ control, error }: RingStart): NodeJS.ErrnoException | undefined {
  const length = Atomics.load(control, CONTROL.failed);
  if (length === 0) return undefined;
  const [code = '', message = ''] = new TextDecoder().decode(error.slice(0, length)).split('\n', 2);
  return Object.assign(new Error(message), { code });
}
