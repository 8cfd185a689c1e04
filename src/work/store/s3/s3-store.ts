/** A plan on an object store. Workers keep what they have of it in a folder of their own, and share nothing else. */
import { randomBytes } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CompilerError, fail } from '../../../diagnostics.js';
import { sealedJson } from '../../../files/seal.js';
import { parseSealed } from '../../../files/sealed-json.js';
import { usefulThreads } from '../../../threads.js';
import { factsOf } from '../../claim-text.js';
import { DEFAULT_LEASE, workerName } from '../../claims.js';
import { partsOf } from '../../failures.js';
import { parsePlan } from '../../plan-file.js';
import type { Plan, PlannedFile } from '../../plan-types.js';
import { hasDigest, parseResult, type ResultFacts, resultFiles, type UnitResult } from '../../results.js';
import type { PlanLook, PlanStore, StoreClaim, StoreOptions } from '../plan-store.js';
import { storeAddress } from './address.js';
import { cacheFolder, openCache, pathInside } from './cache-folder.js';
import { eventKey, OBJECTS, objectKey, PLAN_KEY, unitKey } from './keys.js';
import { S3Objects } from './objects.js';
import { S3Claims } from './s3-claims.js';
import { NO_STATE, type UnitState, UnitStates } from './unit-states.js';

/** A result with the tag of the text that says so. */
interface KnownResult {
  readonly etag: string;
  readonly result: UnitResult;
}

export class S3Store implements PlanStore {
  readonly address: string;
  readonly plan: Plan;
  readonly folder: string;
  readonly work: string;
  readonly temporary: string;
  readonly #objects: S3Objects;
  readonly #options: StoreOptions;
  readonly #etag: string;
  readonly #claims: S3Claims;
  readonly #units: UnitStates;
  #states: ReadonlyMap<string, UnitState> = new Map();
  #results: ReadonlyMap<string, KnownResult> = new Map();
  /** Whether sizes of objects were compared with what results say. */
  #isCompared = false;

  private constructor(objects: S3Objects, plan: Plan, etag: string, options: StoreOptions) {
    this.address = objects.address.shown;
    this.plan = plan;
    const folder = cacheFolder(plan, options.workDir);
    this.folder = options.readOnly ? folder : openCache(folder);
    this.work = join(this.folder, 'work');
    this.temporary = this.work;
    this.#objects = objects;
    this.#options = options;
    this.#etag = etag;
    const { leaseSeconds = DEFAULT_LEASE, threads = usefulThreads(), log } = options;
    this.#claims = new S3Claims(objects, { leaseSeconds, threads, log });
    this.#units = new UnitStates(objects);
  }

  /** Opens the plan at an address. Errors as of `openStore`. */
  static async open(address: string, options: StoreOptions): Promise<S3Store> {
    const objects = await S3Objects.open(storeAddress(address, 'plan'));
    const { shown } = objects.address;
    try {
      const found = (await objects.text(PLAN_KEY)) ?? fail('plan', shown, 'There is no plan.json at this address');
      return new S3Store(objects, parsePlan(found.text, `${shown}/${PLAN_KEY}`), found.etag, options);
    } catch (error) {
      objects.close();
      throw error;
    }
  }

  async bringInputs(): Promise<void> {
    openCache(this.work);
    for (const file of this.plan.files ?? []) {
      if (await this.#brought(this.folder, file)) continue;
      fail(
        'damaged-file',
        `${this.address}/${objectKey(file.sha256)}`,
        `The object of ${file.path} is not as it was written`,
      );
    }
  }

  async isCurrent(): Promise<boolean> {
    const listed = await this.#objects.list(PLAN_KEY);
    return listed.some(({ key, etag }) => key === PLAN_KEY && etag === this.#etag);
  }

  async look(): Promise<PlanLook> {
    const states = await this.#units.read();
    this.#states = states;
    const claims = new Map([...states].flatMap(([unit, { claim }]) => (claim === undefined ? [] : [[unit, claim]])));
    this.#claims.observe(claims);
    const results = await this.#resultsOf(states);
    this.#results = results;
    return {
      result: (unit) => results.get(unit)?.result,
      failures: (unit) => (states.get(unit) ?? NO_STATE).failures,
      losses: (unit) => (states.get(unit) ?? NO_STATE).losses,
      claim: (unit) => {
        const facts = factsOf(claims.get(unit)?.text ?? '');
        return facts?.released === true ? undefined : facts;
      },
      isTaken: (unit) => this.#claims.isTaken(unit),
    };
  }

  async bring(units: readonly string[]): Promise<string | undefined> {
    for (const unit of units) {
      const result = this.#results.get(unit)?.result;
      if (result === undefined) return unit;
      for (const file of result.files) {
        if (await this.#brought(this.work, file)) continue;
        await this.#reopen(unit, `${file.path} of ${unit}`);
        return unit;
      }
    }
    return undefined;
  }

  async check(unit: string): Promise<boolean> {
    const files = this.#results.get(unit)?.result.files ?? [];
    const damaged = files.filter((file) => !hasDigest(this.work, file));
    for (const { path } of damaged) {
      this.#options.log.warn(`${path} of ${unit} is not as it was written; it is brought again [damaged-file].`);
      rmSync(join(this.work, path), { force: true });
    }
    return damaged.length === 0;
  }

  async save(unit: string, paths: readonly string[], facts: ResultFacts): Promise<UnitResult> {
    const result: UnitResult = { unit, files: resultFiles(this.work, paths), ...facts };
    for (const { path, sha256 } of result.files)
      await this.#objects.upload(resolve(this.work, path), objectKey(sha256), sha256);
    await this.#objects.put(unitKey(unit, 'done'), sealedJson(result, 1));
    await this.clearFailures([unit]);
    return result;
  }

  async saveFailure(unit: string, error: unknown): Promise<number> {
    const { failureKeys } = (await this.#units.read()).get(unit) ?? NO_STATE;
    const times = failureKeys.length + 1;
    const text = JSON.stringify({ ...partsOf(error), worker: workerName() });
    await this.#objects.put(eventKey(unit, 'failed', times, randomBytes(4).toString('hex')), text);
    return times;
  }

  async clearFailures(units: readonly string[]): Promise<void> {
    const states = await this.#units.read();
    for (const unit of units) await this.#objects.remove(states.get(unit)?.failureKeys ?? []);
  }

  claim(unit: string): Promise<StoreClaim | undefined> {
    return this.#claims.take(unit, async (worker) => {
      const times = (this.#states.get(unit) ?? NO_STATE).losses + 1;
      const text = JSON.stringify({ worker });
      await this.#objects.put(eventKey(unit, 'lost', times, randomBytes(4).toString('hex')), text);
      this.#options.log.warn(`${worker} has not finished ${unit} and gives no sign of life; the unit is taken over.`);
    });
  }

  async close(): Promise<void> {
    await this.#claims.close();
    this.#objects.close();
  }

  /** Whether a file is here. One of the right size was made here, or checked when it was brought. */
  async #brought(folder: string, { path, bytes, sha256 }: PlannedFile): Promise<boolean> {
    const target = pathInside(folder, path);
    if (statSync(target, { throwIfNoEntry: false })?.size === bytes) return true;
    return this.#objects.download(objectKey(sha256), target, sha256);
  }

  /** The results of units that are done. Sizes of their objects are compared once, and contents when they are brought. */
  async #resultsOf(states: ReadonlyMap<string, UnitState>): Promise<ReadonlyMap<string, KnownResult>> {
    const sizes = this.#isCompared ? undefined : await this.#sizes();
    this.#isCompared = true;
    const results = new Map<string, KnownResult>();
    for (const [unit, { done }] of states) {
      if (done === undefined) continue;
      const known = this.#results.get(unit);
      const result = known?.etag === done.etag ? known.result : resultIn(done.text, unit);
      const torn = sizes && result?.files.find(({ sha256, bytes }) => sizes.get(objectKey(sha256)) !== bytes);
      if (result !== undefined && torn === undefined) results.set(unit, { etag: done.etag, result });
      else await this.#reopen(unit, torn === undefined ? unitKey(unit, 'done') : `${torn.path} of ${unit}`);
    }
    return results;
  }

  async #sizes(): Promise<ReadonlyMap<string, number>> {
    return new Map((await this.#objects.list(OBJECTS)).map(({ key, bytes }) => [key, bytes]));
  }

  /** What is damaged is said, and its unit is open again. */
  async #reopen(unit: string, what: string): Promise<void> {
    this.#options.log.warn(`${what} is not as it was written; the unit is run again [damaged-file].`);
    if (!this.#options.readOnly) await this.#objects.remove([unitKey(unit, 'done')]);
  }
}

function resultIn(text: string, unit: string): UnitResult | undefined {
  try {
    return parseResult(parseSealed(text, unit), unit);
  } catch (error) {
    if (error instanceof CompilerError) return undefined;
    throw error;
  }
}
