/**
 * A pool of threads over one shared memory. A run divides rows or tiles into ranges of fixed size; ranges go to whichever
 * thread is idle. Kernels compute each row by itself, so results do not depend on the number of threads.
 */
import { Worker } from 'node:worker_threads';
import { usefulThreads } from '../threads.js';
import { Arena } from './arena.js';
import { instantiate, type KernelName, type Kernels, kernelModule } from './loader.js';
import type { Task, WorkerStart } from './pool-worker.js';

/** A kernel over 0 to `count`, in ranges of `chunk`; each thread brings `scratch` bytes. */
export interface Run {
  readonly kernel: KernelName;
  readonly plan: number;
  readonly count: number;
  readonly chunk: number;
  readonly scratch?: number;
}

interface Job {
  readonly run: Run;
  next: number;
  active: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

interface Thread {
  readonly worker: Worker;
  scratch: { address: number; bytes: number } | undefined;
  job: Job | undefined;
}

export class KernelPool {
  readonly arena: Arena = new Arena();
  /** The kernels on the calling thread: for what is too short to send away. */
  readonly kernels: Kernels;
  readonly #threads: Thread[] = [];
  readonly #jobs: Job[] = [];
  #failure: Error | undefined;

  /** Starts `threads` threads: at least one, and no more than are useful. Results are the same for any number. */
  constructor(threads: number) {
    const start: WorkerStart = { module: kernelModule(), memory: this.arena.memory };
    this.kernels = instantiate(start.module, start.memory);
    for (let i = 0; i < usefulThreads(threads); i++) this.#threads.push(this.#start(start));
  }

  /** Number of threads. */
  get size(): number {
    return this.#threads.length;
  }

  /** Runs a kernel over its whole range. Runs made at the same time share the threads in order of their call. */
  run(run: Run): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (run.count <= 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#jobs.push({ run, next: 0, active: 0, resolve, reject });
      this.#dispatch();
    });
  }

  /** Ends the threads. Runs still under way are rejected. */
  async close(): Promise<void> {
    this.#abort(new Error('the kernel pool is closed'));
    await Promise.all(this.#threads.map((thread) => thread.worker.terminate()));
  }

  #start(start: WorkerStart): Thread {
    const worker = new Worker(new URL('./pool-worker.js', import.meta.url), { workerData: start });
    const thread: Thread = { worker, scratch: undefined, job: undefined };
    worker.on('message', () => this.#finish(thread));
    worker.on('error', (error) => this.#abort(error));
    worker.unref();
    return thread;
  }

  #dispatch(): void {
    for (const thread of this.#threads) {
      const job = this.#jobs.find((candidate) => candidate.next < candidate.run.count);
      if (job === undefined) return;
      if (thread.job === undefined) this.#post(thread, job);
    }
  }

  #post(thread: Thread, job: Job): void {
    const { kernel, plan, count, chunk, scratch = 0 } = job.run;
    const begin = job.next;
    job.next = Math.min(count, begin + chunk);
    job.active++;
    thread.job = job;
    const task: Task = { kernel, plan, begin, end: job.next, scratch: this.#scratch(thread, scratch) };
    thread.worker.ref();
    thread.worker.postMessage(task);
  }

  #finish(thread: Thread): void {
    const job = thread.job;
    thread.job = undefined;
    thread.worker.unref();
    if (job === undefined) return;
    job.active--;
    if (job.active === 0 && job.next >= job.run.count) {
      this.#jobs.splice(this.#jobs.indexOf(job), 1);
      job.resolve();
    }
    this.#dispatch();
  }

  /** The scratch area of a thread, grown when a run asks for more. */
  #scratch(thread: Thread, bytes: number): number {
    if (thread.scratch === undefined || thread.scratch.bytes < bytes) {
      if (thread.scratch !== undefined) this.arena.release(thread.scratch.address);
      thread.scratch = { address: this.arena.allocate(bytes), bytes };
    }
    return thread.scratch.address;
  }

  #abort(error: Error): void {
    this.#failure ??= error;
    for (const job of this.#jobs.splice(0)) job.reject(this.#failure);
    for (const thread of this.#threads) thread.job = undefined;
  }
}
