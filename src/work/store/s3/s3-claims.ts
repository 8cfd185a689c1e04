/**
 * Who runs which unit of a plan on an object store: `units/ID/claim.json`, written where there is none, and later only in the place of a
 * text that was seen. So a claim has one owner at a time. As in a folder, it holds as long as its heartbeat changes, by the clock of
 * whoever looks; and as there it saves work and nothing else.
 */
import { randomBytes } from 'node:crypto';
import { isAbandoned, ownerTag } from '../../../files/owner.js';
import type { Log } from '../../../log.js';
import { claimText, factsOf } from '../../claim-text.js';
import { beatMs, workerName } from '../../claims.js';
import type { StoreClaim } from '../plan-store.js';
import { ClaimKeeper } from './claim-keeper.js';
import { unitKey } from './keys.js';
import type { S3Objects, StoredText } from './objects.js';

interface ClaimOptions {
  readonly leaseSeconds: number;
  readonly threads: number;
  readonly log: Log;
  /** A clock in milliseconds that only runs forward; tests pass their own. */
  readonly now?: () => number;
}

/** A claim as it was seen, and since when it has not changed. */
interface Seen {
  readonly etag: string;
  readonly since: number;
}

export class S3Claims {
  readonly #objects: S3Objects;
  readonly #options: ClaimOptions;
  readonly #now: () => number;
  readonly #keeper: ClaimKeeper;
  readonly #seen: Map<string, Seen> = new Map();
  #found: ReadonlyMap<string, StoredText> = new Map();

  constructor(objects: S3Objects, options: ClaimOptions) {
    this.#objects = objects;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#keeper = new ClaimKeeper({ address: objects.address, everyMs: beatMs(options.leaseSeconds) });
  }

  /** The claims that a look has found, by their units. */
  observe(found: ReadonlyMap<string, StoredText>): void {
    this.#found = found;
    const since = this.#now();
    for (const [unit, { etag }] of found)
      if (this.#seen.get(unit)?.etag !== etag) this.#seen.set(unit, { etag, since });
  }

  /** True while somebody had claimed a unit at the last look and may be alive. */
  isTaken(unit: string): boolean {
    const found = this.#found.get(unit);
    return found !== undefined && factsOf(found.text)?.released !== true && !this.#isLost(unit, found);
  }

  /** Claims a unit; undefined while another worker has it. `lost` is told of the worker whose claim is taken over. */
  async take(unit: string, lost: (worker: string) => Promise<void>): Promise<StoreClaim | undefined> {
    if (this.isTaken(unit)) return undefined;
    const { threads } = this.#options;
    const key = unitKey(unit, 'claim');
    const facts = { owner: `${ownerTag()}.${randomBytes(4).toString('hex')}`, worker: workerName(), threads };
    const before = this.#found.get(unit);
    const condition = before === undefined ? ({ absent: true } as const) : { etag: before.etag };
    const etag = (await this.#objects.put(key, claimText(facts), condition)) ?? (await this.#tagOf(key, facts.owner));
    if (etag === undefined) return undefined;
    const old = before === undefined ? undefined : factsOf(before.text);
    if (before !== undefined && old?.released !== true) await lost(old?.worker ?? 'A worker');
    this.#seen.delete(unit);
    this.#keeper.keep({ key, facts, etag });
    return { release: () => this.#keeper.release(key) };
  }

  close(): Promise<void> {
    return this.#keeper.close();
  }

  /** The tag of a claim that is there although the answer said no: an earlier one was lost on its way. */
  async #tagOf(key: string, owner: string): Promise<string | undefined> {
    const now = await this.#objects.text(key);
    return now?.text.includes(owner) ? now.etag : undefined;
  }

  /** A claim of an ended process of this machine, or one that has been the same for too long. */
  #isLost(unit: string, { text, etag }: StoredText): boolean {
    const owner = factsOf(text)?.owner.split('.')[0];
    if (owner !== undefined && isAbandoned(owner)) return true;
    const seen = this.#seen.get(unit);
    return seen?.etag === etag && this.#now() - seen.since >= 1000 * this.#options.leaseSeconds;
  }
}
