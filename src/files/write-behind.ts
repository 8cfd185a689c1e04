/**
 * Writing in the background, for callers that do not wait: bytes are made in a ring of slots in shared memory, or copied there, and
 * a thread writes them while the caller makes the next ones. A 7B model's standalone slice spends two thirds of its time in
 * `write`; the thread also has what is complete put on the disk early, so that the flush at the end finds little to do.
 */
import { Worker } from 'node:worker_threads';
import { writeFully } from './transfer.js';
import { CONTROL, type RingStart, SLOT_BYTES, SLOTS, takeError } from './write-behind-ring.js';

/** Below this many bytes a thread costs more than it saves. */
const FROM = 32 << 20;
/** A thread that has not begun by then never will: better an error than waiting for ever. */
const START_MS = 120_000;

export class WriteBehind {
  readonly #descriptor: number;
  readonly #from: number;
  #written = 0;
  #ring: Ring | undefined;
  /** Room for a piece as long as there is no ring. */
  #single: Uint8Array | undefined;

  /** Writes to an open file; the caller closes it after `finish` or `abandon`. A thread starts once `from` bytes were written. */
  constructor(descriptor: number, from: number = FROM) {
    this.#descriptor = descriptor;
    this.#from = from;
  }

  /** Memory of the size of a slot, free until the next call: bytes that are made at its beginning are written without a copy. */
  room(): Uint8Array {
    if (this.#ring !== undefined) return this.#ring.room();
    this.#single ??= Buffer.allocUnsafeSlow(SLOT_BYTES);
    return this.#single;
  }

  /** Takes the bytes for `offset`: the caller's memory is free afterwards. An error of an earlier write may be thrown here. */
  write(bytes: Uint8Array, offset: number): void {
    this.#written += bytes.length;
    if (this.#written > this.#from) this.#ring ??= new Ring(this.#descriptor);
    if (this.#ring === undefined) writeFully(this.#descriptor, bytes, offset);
    else this.#ring.write(bytes, offset);
  }

  /** Returns when all bytes are in the file; throws when one of the writes failed. */
  finish(): void {
    const ring = this.#ring;
    this.#ring = undefined;
    ring?.stop();
    ring?.check();
  }

  /** Ends the thread after an error elsewhere. */
  abandon(): void {
    this.#ring?.stop();
    this.#ring = undefined;
  }
}

/** The caller's end of the ring. */
class Ring {
  readonly #start: RingStart;
  #filled = 0;

  constructor(descriptor: number) {
    this.#start = {
      descriptor,
      control: new Int32Array(new SharedArrayBuffer(4 * CONTROL.words)),
      places: new Float64Array(new SharedArrayBuffer(16 * SLOTS)),
      slots: new Uint8Array(new SharedArrayBuffer(SLOTS * SLOT_BYTES)),
      error: new Uint8Array(new SharedArrayBuffer(1024)),
    };
    new Worker(new URL('./write-behind-worker.js', import.meta.url), { workerData: this.#start }).unref();
  }

  write(bytes: Uint8Array, offset: number): void {
    for (let at = 0; at < bytes.length; at += SLOT_BYTES) {
      const piece = bytes.subarray(at, at + SLOT_BYTES);
      const room = this.room();
      this.check();
      if (piece.buffer !== room.buffer || piece.byteOffset !== room.byteOffset) room.set(piece);
      this.#send(this.#freeSlot(), piece.length, offset + at);
    }
  }

  /** The slot that is written next, waited for. */
  room(): Uint8Array {
    const slot = this.#freeSlot();
    return this.#start.slots.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES);
  }

  /** Waits until the thread has written everything and is gone. */
  stop(): void {
    this.#send(this.#freeSlot(), -1, 0);
    this.#await(this.#filled);
  }

  check(): void {
    const failed = takeError(this.#start);
    if (failed !== undefined) throw failed;
  }

  #freeSlot(): number {
    this.#await(this.#filled - SLOTS + 1);
    return this.#filled % SLOTS;
  }

  #send(slot: number, length: number, offset: number): void {
    const { places, control } = this.#start;
    places[2 * slot] = offset;
    places[2 * slot + 1] = length;
    this.#filled++;
    Atomics.store(control, CONTROL.filled, this.#filled);
    Atomics.notify(control, CONTROL.filled);
  }

  /** Waits until at least `count` slots have been written. */
  #await(count: number): void {
    const { control } = this.#start;
    for (let drained = Atomics.load(control, CONTROL.drained); drained < count; ) {
      const waited = Atomics.wait(control, CONTROL.drained, drained, START_MS);
      if (waited === 'timed-out' && Atomics.load(control, CONTROL.started) === 0) {
        throw new Error('the thread that writes did not start');
      }
      drained = Atomics.load(control, CONTROL.drained);
    }
  }
}
