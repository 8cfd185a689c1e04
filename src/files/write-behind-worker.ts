/** The thread that writes: takes slots in their order until it is told to end. */
import { fdatasync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { writeFully } from './transfer.js';
import { CONTROL, putError, type RingStart, SLOT_BYTES, SLOTS } from './write-behind-ring.js';

/** Bytes after which the disk is asked to begin. */
const FLUSH = 128 << 20;

const ring = workerData as RingStart;
const { control, places, slots, descriptor } = ring;
let unflushed = 0;
Atomics.store(control, CONTROL.started, 1);

for (let done = 0; ; done++) {
  while (Atomics.load(control, CONTROL.filled) === done) Atomics.wait(control, CONTROL.filled, done);
  const slot = done % SLOTS;
  const length = places[2 * slot + 1] as number;
  if (length > 0) writeSlot(slot, length);
  Atomics.store(control, CONTROL.drained, done + 1);
  Atomics.notify(control, CONTROL.drained);
  if (length < 0) break;
}

function writeSlot(slot: number, length: number): void {
  // After an error the rest is taken and dropped, so that the caller never waits for ever.
  if (Atomics.load(control, CONTROL.failed) !== 0) return;
  try {
    writeFully(descriptor, slots.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + length), places[2 * slot] as number);
  } catch (error) {
    putError(ring, error as NodeJS.ErrnoException);
  }
  unflushed += length;
  if (unflushed < FLUSH) return;
  unflushed = 0;
  // Runs in the thread pool; an error shows again when the caller flushes the file.
  fdatasync(descriptor, () => {});
}
