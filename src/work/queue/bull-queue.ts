/**
 * Units in BullMQ, on Redis or PostgreSQL: a queue for each memory class, and a flow for each phase, whose parent runs when all units of
 * the phase have. Jobs are fetched one at a time over all classes, so that a worker never runs two units together.
 */
import { randomUUID } from 'node:crypto';
import type { ConnectionOptions, FlowProducer, Job, Queue, Worker } from 'bullmq';
import { fail } from '../../diagnostics.js';
import type { Log, ProgressUpdate } from '../../log.js';
import type { QueueAddress } from './address.js';
import { loadBullMq, loadPostgres, type PostgresPool } from './packages.js';
import type { QueuedUnit, TakenJob, UnitQueue } from './unit-queue.js';

/** What a queue is opened with. */
export interface QueueOptions {
  readonly address: QueueAddress;
  /** Name of the plan, part of the names of queues and jobs. */
  readonly plan: string;
  /** Classes to take units from, the first of them first. */
  readonly classes: readonly string[];
  /** Seconds without a sign of life after which a job is given to another worker. */
  readonly leaseSeconds: number;
  readonly log: Log;
}

/** Times that a unit is tried, and milliseconds before the second time; they double. */
const ATTEMPTS = 3;
const BACKOFF = 1000;
/** Times that a job may lose its worker: more than workers that are killed in one unit. */
const MOST_STALLS = 100;
/** Milliseconds in which a server has to answer at first. Later it may be away for as long as it takes. */
const CONNECTING = 15_000;
/** PostgreSQL's error code `cannot_connect_now`. */
const STARTING_UP = '57P03';
/** Milliseconds that closing may take. */
const CLOSING = 3000;
/** Connections of a pool beside those that wait for messages, one for each class. */
const SPARE_CONNECTIONS = 6;
const PHASES = 'phases';

/** Opens a queue. Error codes `queue-package` where a package is not installed, and `queue` where the server cannot be used. */
export async function openBullQueue(options: QueueOptions): Promise<UnitQueue> {
  const { address, classes } = options;
  const bullMq = await loadBullMq(address.server);
  const pool = address.server === 'postgres' ? await openPool(address, classes.length) : undefined;
  const connection = (pool ?? { url: address.url }) as ConnectionOptions;
  // Redis is what is taken without a factory, and what the types are for.
  const factory = (pool === undefined ? undefined : bullMq.createPostgresBackend) as undefined;
  const { refused, onError } = listener(options);
  const worker = (name: string): Worker => {
    const lockDuration = 1000 * options.leaseSeconds;
    const own = {
      connection,
      autorun: false,
      lockDuration,
      stalledInterval: lockDuration,
      maxStalledCount: MOST_STALLS,
    };
    return new bullMq.Worker(`matquant-${options.plan}-${name}`, null, own, factory).on('error', onError) as Worker;
  };
  const workers = new Map([PHASES, ...classes].map((name) => [name, worker(name)]));
  const flows = new bullMq.FlowProducer({ connection }, factory).on('error', onError) as FlowProducer;
  const queues = (): readonly Queue[] =>
    [...workers.values()].map(
      ({ name }) => new bullMq.Queue(name, { connection }, factory).on('error', onError) as Queue,
    );
  const queue = new BullQueue(options, flows, workers, pool, queues);
  const parts = [flows, ...workers.values()];
  try {
    await within(Promise.race([refused, Promise.all(parts.map((each) => each.waitUntilReady()))]), CONNECTING);
    for (const each of workers.values()) await each.startStalledCheckTimer();
  } catch (error) {
    await queue.close();
    fail('queue', address.shown, `The queue cannot be used: ${messageOf(error)}`);
  }
  return queue;
}

/** A pool for all queues of this process, with BullMQ's tables made where they are missing. */
async function openPool(address: QueueAddress, classes: number): Promise<PostgresPool> {
  const [{ Pool }, { runMigrations }] = await Promise.all([loadPostgres(), loadBullMq(address.server)]);
  const pool = new Pool({
    connectionString: address.url,
    max: 1 + classes + SPARE_CONNECTIONS,
    connectionTimeoutMillis: CONNECTING,
    keepAlive: true,
    options: '-c search_path=bullmq',
  });
  pool.on('error', () => undefined);
  try {
    const client = await connected(pool);
    try {
      await runMigrations(client as Parameters<typeof runMigrations>[0]);
    } finally {
      client.release();
    }
  } catch (error) {
    await pool.end();
    fail('queue', address.shown, `The queue cannot be used: ${messageOf(error)}`);
  }
  return pool;
}

/** A connection; a server that starts up is waited for. */
async function connected(pool: PostgresPool): Promise<Awaited<ReturnType<PostgresPool['connect']>>> {
  const latest = performance.now() + CONNECTING;
  for (;;) {
    try {
      return await pool.connect();
    } catch (error) {
      if ((error as { code?: unknown }).code !== STARTING_UP || performance.now() > latest) throw error;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }
}

/** Listens to errors of connections: while the queue is opened the first one is thrown, and of later ones one is reported. */
function listener({ address, log }: QueueOptions): { readonly refused: Promise<never>; readonly onError: Listener } {
  let tell: Listener | undefined;
  const refused = new Promise<never>((_, reject) => {
    tell = (error) => {
      reject(error);
      tell = () => {
        log.warn(`${address.shown} does not answer; the worker waits for it.`);
        tell = () => undefined;
      };
    };
  });
  refused.catch(() => undefined);
  return { refused, onError: (error) => tell?.(error) };
}

type Listener = (error: Error) => void;

class BullQueue implements UnitQueue {
  readonly #options: QueueOptions;
  readonly #flows: FlowProducer;
  readonly #workers: ReadonlyMap<string, Worker>;
  readonly #pool: PostgresPool | undefined;
  readonly #queues: () => readonly Queue[];

  constructor(
    options: QueueOptions,
    flows: FlowProducer,
    workers: ReadonlyMap<string, Worker>,
    pool: PostgresPool | undefined,
    queues: () => readonly Queue[],
  ) {
    this.#queues = queues;
    this.#options = options;
    this.#flows = flows;
    this.#workers = workers;
    this.#pool = pool;
  }

  async fill(phase: number, units: readonly QueuedUnit[]): Promise<void> {
    const { plan } = this.#options;
    const children = units.map(({ id, memoryClass, priority }) => ({
      name: 'unit',
      queueName: `matquant-${plan}-${memoryClass}`,
      data: { plan, unit: id },
      opts: {
        jobId: `${plan}-${id}`,
        priority,
        attempts: ATTEMPTS,
        backoff: { type: 'exponential', delay: BACKOFF },
        removeOnComplete: true,
        removeOnFail: true,
        // A phase ends also with units that failed; what needs them is not queued.
        ignoreDependencyOnFailure: true,
      },
    }));
    await this.#flows.add({
      name: 'phase',
      queueName: `matquant-${plan}-${PHASES}`,
      data: { plan, phase },
      opts: { jobId: `${plan}-phase-${phase}`, removeOnComplete: true, removeOnFail: true },
      children,
    });
  }

  async take(): Promise<TakenJob | undefined> {
    for (const worker of this.#workers.values()) {
      const token = randomUUID();
      const job = (await worker.getNextJob(token, { block: false })) as Job | undefined;
      if (job !== undefined) return new BullJob(job, token, 1000 * this.#options.leaseSeconds);
    }
    return undefined;
  }

  async forget(): Promise<void> {
    for (const queue of this.#queues()) {
      await quietly(queue.obliterate({ force: true }));
      await quietly(queue.close());
    }
  }

  async close(): Promise<void> {
    const parts = [this.#flows, ...this.#workers.values()];
    await quietly(within(Promise.all(parts.map((each) => each.close())), CLOSING));
    if (this.#pool !== undefined) await quietly(within(this.#pool.end(), CLOSING));
  }
}

/** A job whose lock is renewed until it ends. */
class BullJob implements TakenJob {
  readonly unit: string | undefined;
  readonly #job: Job;
  readonly #token: string;
  readonly #timer: NodeJS.Timeout;
  #said = 0;

  constructor(job: Job, token: string, leaseMs: number) {
    this.unit = (job.data as { readonly unit?: string }).unit;
    this.#job = job;
    this.#token = token;
    this.#timer = setInterval(() => void quietly(job.extendLock(token, leaseMs)), leaseMs / 3);
    this.#timer.unref();
  }

  complete(): Promise<void> {
    clearInterval(this.#timer);
    return quietly(this.#job.moveToCompleted(undefined, this.#token, false));
  }

  fail(error: Error): Promise<void> {
    clearInterval(this.#timer);
    return quietly(this.#job.moveToFailed(error, this.#token, false));
  }

  progress({ stage, done, total }: ProgressUpdate): void {
    const now = performance.now();
    if (now - this.#said < 1000) return;
    this.#said = now;
    void quietly(this.#job.updateProgress({ stage, done, total }));
  }
}

const messageOf = (error: unknown): string =>
  (error instanceof AggregateError ? String(error.errors[0]) : error instanceof Error ? error.message : String(error))
    .replaceAll(/\s+/g, ' ')
    .slice(0, 300);

async function quietly(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch {
    // The server was away, or gave the job to another worker.
  }
}

async function within(work: Promise<unknown>, milliseconds: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('The server does not answer')), milliseconds);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
