/** Ranges of bytes that are read when someone asks: the large parts of a message never enter memory as a whole. */

export interface Payload {
  /** Number of bytes. */
  readonly length: number;
  /** The bytes [start, end): a view or a fresh read, not to be written to; a fresh read may use the beginning of `into`. */
  read(start: number, end: number, into?: Uint8Array): Uint8Array;
}

/** A payload over bytes in memory. */
export function bytesPayload(bytes: Uint8Array): Payload {
  return { length: bytes.length, read: (start, end) => bytes.subarray(start, end) };
}

/** The range [start, start + length) of another payload. */
export function rangeOf(source: Payload, start: number, length: number): Payload {
  return { length, read: (from, to, into) => source.read(start + from, start + to, into) };
}

/** Total length of pieces. */
export function lengthOf(pieces: readonly Payload[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

/** All pieces as one array. */
export function join(pieces: readonly Payload[]): Uint8Array {
  const whole = new Uint8Array(lengthOf(pieces));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece.read(0, piece.length), at);
    at += piece.length;
  }
  return whole;
}

/** How much is read at a time while streaming. Writing pieces of 4 MiB takes the kernel three to four times as long (ext4). */
export const CHUNK: number = 1 << 20;

/**
 * The bytes of a payload in chunks of at most 1 MiB. With `room`, which names memory of that size for each, a chunk may be gone
 * when the next is asked for.
 */
export function* chunksOf(payload: Payload, room?: () => Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < payload.length; at += CHUNK) {
    yield payload.read(at, Math.min(at + CHUNK, payload.length), room?.());
  }
}
