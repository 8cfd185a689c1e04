/** Keeps claims of this process alive on an object store, in a thread: the main one is busy for minutes at a time. */
import { randomBytes } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import type { ClaimFacts } from '../../claim-text.js';
import type { StoreAddress } from './address.js';

/** A claim of this process. */
export interface HeldClaim {
  readonly key: string;
  readonly facts: ClaimFacts;
  /** Tag of its text as it was written last. */
  readonly etag: string;
}

/** What the thread is started with. */
export interface KeeperData {
  readonly address: StoreAddress;
  readonly everyMs: number;
}

/** What the thread is told: to keep a claim, or to give it up and to say so. */
export type ToKeeper = { readonly keep: HeldClaim } | { readonly release: string; readonly id: string };
/** What it says: the id of a request that it has carried out. */
export type FromKeeper = { readonly released: string };

/** Milliseconds that giving up a claim may take; one that stays expires. */
const PATIENCE = 10_000;

export class ClaimKeeper {
  readonly #data: KeeperData;
  #worker: Worker | undefined;

  constructor(data: KeeperData) {
    this.#data = data;
  }

  keep(claim: HeldClaim): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage({ keep: claim } satisfies ToKeeper);
  }

  /** Gives a claim up, unless another worker has taken it over. Never throws. */
  async release(key: string): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined) return;
    const id = randomBytes(8).toString('hex');
    await new Promise<void>((resolve) => {
      const end = (): void => {
        clearTimeout(timer);
        worker.off('message', answer).off('exit', end);
        resolve();
      };
      const answer = ({ released }: FromKeeper): void => {
        if (released === id) end();
      };
      const timer = setTimeout(end, PATIENCE);
      worker.on('message', answer).on('exit', end);
      worker.postMessage({ release: key, id } satisfies ToKeeper);
    });
  }

  async close(): Promise<void> {
    await this.#worker?.terminate();
    this.#worker = undefined;
  }

  #start(): Worker {
    const worker = new Worker(new URL('./claim-thread.js', import.meta.url), {
      workerData: this.#data,
      env: process.env,
    });
    // Without a thread the claim expires, and another worker may run the same unit, which is harmless. The next claim starts a new one.
    worker.on('error', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    worker.unref();
    return worker;
  }
}
