/** Keeps claims of this process alive, in a thread: the main one is busy for minutes at a time. */
import { rmSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { textOf } from './claim-text.js';

/** What the thread is told: the claims to keep. */
export interface Beating {
  readonly path: string;
  readonly owner: string;
}

export class Heartbeat {
  readonly #everyMs: number;
  readonly #kept: Set<Beating> = new Set();
  #worker: Worker | undefined;

  constructor(everyMs: number) {
    this.#everyMs = everyMs;
  }

  /** Renews a claim until the function that it gives is called. A process that exits takes its claims with it. */
  keep(path: string, owner: string): () => void {
    const one: Beating = { path, owner };
    const atExit = (): void => {
      if (textOf(path)?.includes(owner)) rmSync(path, { force: true });
    };
    process.once('exit', atExit);
    this.#kept.add(one);
    this.#tell();
    return () => {
      process.removeListener('exit', atExit);
      this.#kept.delete(one);
      this.#tell();
    };
  }

  close(): void {
    void this.#worker?.terminate();
    this.#worker = undefined;
  }

  #tell(): void {
    this.#worker ??= this.#start();
    this.#worker.postMessage([...this.#kept]);
  }

  #start(): Worker {
    const worker = new Worker(new URL('./heartbeat-worker.js', import.meta.url), { workerData: this.#everyMs });
    // Without a thread the claim expires, and another worker may run the same unit, which is harmless. The next claim starts a new one.
    worker.on('error', () => {
      if (this.#worker === worker) this.#worker = undefined;
    });
    worker.unref();
    return worker;
  }
}
