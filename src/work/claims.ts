/**
 * Who runs which unit: `PLAN/claims/ID.json`, made exclusively. A claim holds as long as its heartbeat changes. Whether it does is
 * told by whoever looks at it, with a clock of its own, so that clocks of machines and of disks do not matter. Claims save work and
 * nothing else: two workers on one unit make the same files.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, linkSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { isAbandoned, ownerTag } from '../files/owner.js';
import { explained } from '../files/staging.js';
import type { Log } from '../log.js';
import { defaultOf } from '../options/index.js';
import { claimText, factsOf, textOf } from './claim-text.js';
import { Heartbeat } from './heartbeat.js';
import { saveLoss } from './losses.js';

/** Seconds of a lease, where nothing else is said. */
export const DEFAULT_LEASE: number = Number(defaultOf('work', 'leaseSeconds'));

/** Path of the claim of a unit. */
export const claimPath = (plan: string, unit: string): string => join(plan, 'claims', `${unit}.json`);

/** This process, for people. */
export const workerName = (): string => `${hostname()}-${process.pid}`;

/** A claim of this process. */
export interface Claim {
  /** Gives it up, unless another worker has taken it over. */
  release(): void;
}

/** A claim as it was seen, and since when it has not changed. */
interface Seen {
  readonly text: string;
  readonly since: number;
}

interface ClaimOptions {
  readonly leaseSeconds: number;
  readonly threads: number;
  /** A clock in milliseconds that only runs forward; tests pass their own. */
  readonly now?: () => number;
}

/** Milliseconds between two heartbeats are a quarter of the lease, but no more than this: other workers may have a shorter lease. */
const LONGEST_BEAT = 5000;

/** Milliseconds between two heartbeats. */
export const beatMs = (leaseSeconds: number): number => Math.min(250 * leaseSeconds, LONGEST_BEAT);

export class Claims {
  readonly #plan: string;
  readonly #folder: string;
  readonly #leaseMs: number;
  readonly #log: Log;
  readonly #seen: Map<string, Seen> = new Map();
  readonly #heartbeat: Heartbeat;
  readonly #threads: number;
  readonly #now: () => number;

  /**
   * A claim counts as lost when it has not changed for `leaseSeconds`. Fails with `output-exists` or `disk-full` where the folder of
   * claims cannot be made.
   */
  constructor(plan: string, { leaseSeconds, threads, now = () => performance.now() }: ClaimOptions, log: Log) {
    this.#now = now;
    this.#plan = plan;
    this.#folder = join(plan, 'claims');
    this.#leaseMs = 1000 * leaseSeconds;
    this.#log = log;
    this.#threads = threads;
    this.#heartbeat = new Heartbeat(beatMs(leaseSeconds));
    try {
      mkdirSync(this.#folder, { recursive: true });
    } catch (error) {
      throw explained(error, this.#folder);
    }
  }

  /** Claims a unit; undefined while another worker has it. */
  take(unit: string): Claim | undefined {
    const path = this.#pathOf(unit);
    // Of this claim alone: whoever sees another one knows that it is new.
    const owner = `${ownerTag()}.${randomBytes(4).toString('hex')}`;
    const own = claimText({ owner, worker: workerName(), threads: this.#threads });
    if (!make(path, own)) {
      const text = textOf(path);
      if (text === undefined || !this.#isLost(unit, text) || !this.#remove(path, text)) return undefined;
      const worker = factsOf(text)?.worker ?? 'A worker';
      saveLoss(this.#plan, unit, worker);
      this.#log.warn(`${worker} has not finished ${unit} and gives no sign of life; the unit is taken over.`);
      if (!make(path, own)) return undefined;
    }
    this.#seen.delete(unit);
    const stop = this.#heartbeat.keep(path, owner);
    return {
      release: () => {
        stop();
        if (textOf(path)?.includes(owner)) rmSync(path, { force: true });
      },
    };
  }

  /** True while somebody has claimed a unit and may be alive. */
  isTaken(unit: string): boolean {
    const text = textOf(this.#pathOf(unit));
    return text !== undefined && !this.#isLost(unit, text);
  }

  close(): void {
    this.#heartbeat.close();
  }

  /** A claim of an ended process of this machine, or one that has been the same for too long. */
  #isLost(unit: string, text: string): boolean {
    const owner = factsOf(text)?.owner.split('.')[0];
    if (owner !== undefined && isAbandoned(owner)) return true;
    const now = this.#now();
    const seen = this.#seen.get(unit);
    if (seen?.text === text) return now - seen.since >= this.#leaseMs;
    this.#seen.set(unit, { text, since: now });
    return false;
  }

  /** Removes a lost claim, but not one that another worker has made in its place meanwhile. */
  #remove(path: string, lost: string): boolean {
    const aside = `${path}.${randomBytes(4).toString('hex')}`;
    try {
      renameSync(path, aside);
    } catch {
      return false;
    }
    const isLost = textOf(aside) === lost;
    if (!isLost) quietly(() => linkSync(aside, path));
    rmSync(aside, { force: true });
    return isLost;
  }

  #pathOf(unit: string): string {
    return claimPath(this.#plan, unit);
  }
}

/** Makes a claim; false where there is one. */
function make(path: string, text: string): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw explained(error, path);
  }
  try {
    writeSync(descriptor, text);
    return true;
  } catch (error) {
    rmSync(path, { force: true });
    throw explained(error, path);
  } finally {
    closeSync(descriptor);
  }
}

function quietly(work: () => void): void {
  try {
    work();
  } catch {
    // Another worker has made a claim meanwhile.
  }
}
