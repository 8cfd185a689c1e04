/** A plan in a folder that all workers see. */
import { resolve } from 'node:path';
import { openWorkFolder } from '../../files/work-folder.js';
import { factsOf, textOf } from '../claim-text.js';
import { Claims, claimPath, DEFAULT_LEASE, workerName } from '../claims.js';
import { clearFailure, failuresOf, saveFailure } from '../failures.js';
import { lossesOf } from '../losses.js';
import { holdsPlan, readPlan } from '../plan-file.js';
import type { Plan } from '../plan-types.js';
import { type ResultFacts, Results, type UnitResult } from '../results.js';
import type { PlanLook, PlanStore, StoreClaim, StoreOptions } from './plan-store.js';

export class FolderStore implements PlanStore {
  readonly address: string;
  readonly plan: Plan;
  readonly folder: string;
  readonly work: string;
  readonly temporary: string;
  readonly #results: Results;
  readonly #options: StoreOptions;
  #claims: Claims | undefined;

  /** Error codes `plan` where there is none, and `damaged-file` where it is not as it was written. */
  constructor(folder: string, options: StoreOptions) {
    this.plan = readPlan(folder);
    this.address = folder;
    this.folder = folder;
    this.work = resolve(folder, this.plan.work);
    this.temporary = options.workDir ?? this.work;
    this.#results = new Results(folder, this.work, options.log, options.readOnly);
    this.#options = options;
  }

  async bringInputs(): Promise<void> {
    for (const folder of new Set([this.work, this.temporary])) openWorkFolder(folder);
  }

  async isCurrent(): Promise<boolean> {
    return holdsPlan(this.folder, this.plan);
  }

  async look(): Promise<PlanLook> {
    const { folder } = this;
    return {
      result: (unit) => this.#results.find(unit),
      failures: (unit) => failuresOf(folder, unit),
      losses: (unit) => lossesOf(folder, unit),
      claim: (unit) => factsOf(textOf(claimPath(folder, unit)) ?? ''),
      isTaken: (unit) => this.#opened.isTaken(unit),
    };
  }

  async bring(units: readonly string[]): Promise<string | undefined> {
    return units.find((unit) => this.#results.find(unit) === undefined);
  }

  async check(unit: string): Promise<boolean> {
    return this.#results.check(unit);
  }

  async save(unit: string, paths: readonly string[], facts: ResultFacts): Promise<UnitResult> {
    const result = this.#results.save(unit, paths, facts);
    clearFailure(this.folder, unit);
    return result;
  }

  async saveFailure(unit: string, error: unknown): Promise<number> {
    return saveFailure(this.folder, unit, error, workerName());
  }

  async clearFailures(units: readonly string[]): Promise<void> {
    for (const unit of units) clearFailure(this.folder, unit);
  }

  async claim(unit: string): Promise<StoreClaim | undefined> {
    return this.#opened.take(unit);
  }

  async close(): Promise<void> {
    this.#claims?.close();
  }

  /** Claims are made by those who run units, not by those who look. */
  get #opened(): Claims {
    const { leaseSeconds = DEFAULT_LEASE, threads = 0, log } = this.#options;
    this.#claims ??= new Claims(this.folder, { leaseSeconds, threads }, log);
    return this.#claims;
  }
}
