/** The thread that renews claims on an object store, as long as they are this process's. */
import { parentPort, workerData } from 'node:worker_threads';
import { claimText } from '../../claim-text.js';
import type { FromKeeper, HeldClaim, KeeperData, ToKeeper } from './claim-keeper.js';
import { S3Objects } from './objects.js';

const { address, everyMs } = workerData as KeeperData;
const opened = S3Objects.open(address);

/** Claims with what is under way for them: one request at a time, because each needs the tag of the one before. */
interface Kept {
  claim: HeldClaim;
  beat: number;
  work: Promise<void>;
  isBusy: boolean;
}

const kept: Map<string, Kept> = new Map();

parentPort?.on('message', (message: ToKeeper) => {
  if ('keep' in message) {
    kept.set(message.keep.key, { claim: message.keep, beat: 0, work: Promise.resolve(), isBusy: false });
    return;
  }
  const one = kept.get(message.release);
  kept.delete(message.release);
  const end = (): void => parentPort?.postMessage({ released: message.id } satisfies FromKeeper);
  void one?.work.then(() => write(one, true)).then(end, end);
  if (one === undefined) end();
});

setInterval(() => {
  for (const one of kept.values()) {
    if (one.isBusy) continue;
    one.isBusy = true;
    // The store may be away; the next beat may come through.
    one.work = write(one, false)
      .catch(() => undefined)
      .finally(() => {
        one.isBusy = false;
      });
  }
}, everyMs);

/** Writes a claim in the place of the text that this thread knows, or in that of its own text, whose answer was lost. */
async function write(one: Kept, released: boolean): Promise<void> {
  const objects = await opened;
  const { key, facts, etag } = one.claim;
  const text = claimText({ ...facts, ...(released && { released }) }, ++one.beat);
  const written = await objects.put(key, text, { etag });
  if (written !== undefined) {
    one.claim = { ...one.claim, etag: written };
    return;
  }
  const now = await objects.text(key);
  if (now?.text.includes(facts.owner) !== true) {
    // Another worker has taken it over.
    if (kept.get(key) === one) kept.delete(key);
    return;
  }
  one.claim = { ...one.claim, etag: now.etag };
  if (released && now.text !== text) await objects.put(key, text, { etag: now.etag });
}
