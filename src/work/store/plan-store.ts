/**
 * Where a plan is kept: a folder that all workers see, or an object store. Whoever runs units asks this interface and does not know which.
 * Units read and write files of this machine in both cases.
 */
import type { CompileOptions } from '../../compile/index.js';
import type { Log } from '../../log.js';
import type { ClaimFacts } from '../claim-text.js';
import type { UnitFailure } from '../failures.js';
import type { Plan } from '../plan-types.js';
import type { ResultFacts, UnitResult } from '../results.js';

/** How a plan is opened. */
export interface StoreOptions {
  readonly log: Log;
  /** Nothing is changed, and damage is not looked for. */
  readonly readOnly?: boolean | undefined;
  /** Folder of temporary files and of what is downloaded. */
  readonly workDir?: string | undefined;
  /** Seconds without a sign of life after which a claim counts as lost; 60 by default. */
  readonly leaseSeconds?: number | undefined;
  /** Threads of this worker, for its claims. */
  readonly threads?: number | undefined;
}

/** A claim of this process. */
export interface StoreClaim {
  /** Gives it up, unless another worker has taken it over. */
  release(): void | Promise<void>;
}

/** How far the units are, as one look at the plan told. */
export interface PlanLook {
  /** The result of a unit that is done. */
  result(unit: string): UnitResult | undefined;
  /** How a unit failed so far. */
  failures(unit: string): readonly UnitFailure[];
  /** How often workers have not finished a unit. */
  losses(unit: string): number;
  /** Who has claimed a unit, alive or not. */
  claim(unit: string): ClaimFacts | undefined;
  /** True while somebody has claimed a unit and may be alive. */
  isTaken(unit: string): boolean;
}

/** A plan that was opened. */
export interface PlanStore {
  /** Folder or address, as it was given. */
  readonly address: string;
  readonly plan: Plan;
  /** Folder on this machine where relative paths of the plan begin. */
  readonly folder: string;
  /** Folder on this machine with the results of units. */
  readonly work: string;
  /** Where temporary folders are made. */
  readonly temporary: string;
  /** Brings model and text to this machine, where they are kept with the plan. */
  bringInputs(): Promise<void>;
  /** Whether the plan that was opened is still there. */
  isCurrent(): Promise<boolean>;
  look(): Promise<PlanLook>;
  /** Brings the results of units to this machine. The first unit whose results are not there, or damaged, or undefined. */
  bring(units: readonly string[]): Promise<string | undefined>;
  /** Reads the results of a unit on this machine. False where they are damaged, which is said; they are made or brought again. */
  check(unit: string): Promise<boolean>;
  /** Keeps the results of a unit and writes down that it is done. `paths` are the files that it made or found. */
  save(unit: string, paths: readonly string[], facts: ResultFacts): Promise<UnitResult>;
  /** Writes down that a unit failed; returns how often it has. */
  saveFailure(unit: string, error: unknown): Promise<number>;
  /** Forgets that units failed. */
  clearFailures(units: readonly string[]): Promise<void>;
  /** Claims a unit; undefined while another worker has it. */
  claim(unit: string): Promise<StoreClaim | undefined>;
  close(): Promise<void>;
}

/** A place that a plan is written to. */
export interface PlanTarget {
  /** Fails where files of the plan would replace an input, or a file of others. */
  guard(options: CompileOptions): void;
  /** How the plan names a file of this machine, for a compilation. */
  naming(options: CompileOptions): (path: string) => string;
  /** Whether files of model and text have to be written with the plan. */
  readonly carries: boolean;
  /** Writes the plan. `files` are those that go with it: text that the model wrote, and where `carries` says so, all inputs. */
  save(plan: Plan, files: readonly CarriedFile[], overwrite: boolean): Promise<void>;
  close(): void;
}

/** A file of this machine that goes with a plan. */
export interface CarriedFile {
  readonly source: string;
  /** Its path in the plan. */
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}
