/** The thread that renews claims, as long as they are this process's. */
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { BEAT_OFFSET, beatText } from './claim-text.js';
import type { Beating } from './heartbeat.js';

let kept: readonly Beating[] = [];
let beats = 0;

parentPort?.on('message', (claims: readonly Beating[]) => {
  kept = claims;
});

setInterval(() => {
  beats++;
  for (const each of kept) beat(each);
}, Number(workerData));

function beat({ path, owner }: Beating): void {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r+');
    if (readFileSync(descriptor, 'utf8').includes(owner)) writeSync(descriptor, beatText(beats), BEAT_OFFSET);
  } catch {
    // Released, taken over, or the disk is away: the next beat may come through.
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
