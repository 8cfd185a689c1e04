/**
 * What says that a unit is done: `PLAN/done/ID.json`, sealed, with every file of its results and their digests. A unit counts as done
 * while all of them are there and as they were written.
 */
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { CompilerError } from '../diagnostics.js';
import { hashFile } from '../files/hash-file.js';
import { sealedJson } from '../files/seal.js';
import { readSealed } from '../files/sealed-json.js';
import { staged } from '../files/staging.js';
import type { Log } from '../log.js';

/** A file of results, by its path in the work folder. */
export interface ResultFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** Time of its last write in milliseconds: a file of the same size and time is not read again. */
  readonly modified: number;
}

/** A unit that was run. */
export interface UnitResult {
  readonly unit: string;
  readonly files: readonly ResultFile[];
  /** Wall time. */
  readonly seconds: number;
  /** Largest resident memory of the process while the unit ran. */
  readonly peakMemoryBytes: number;
  readonly threads: number;
  /** Machine and process that ran it. */
  readonly worker: string;
}

/** What is known of a unit's run beside its files. */
export type ResultFacts = Omit<UnitResult, 'unit' | 'files'>;

const schema: z.ZodType<UnitResult> = z.strictObject({
  unit: z.string(),
  files: z.array(z.strictObject({ path: z.string(), bytes: z.number(), sha256: z.string(), modified: z.number() })),
  seconds: z.number(),
  peakMemoryBytes: z.number(),
  threads: z.number(),
  worker: z.string(),
});

/** The result that a marker holds; undefined where it is none, or that of another unit. */
export function parseResult(value: unknown, unit: string): UnitResult | undefined {
  const parsed = schema.safeParse(value);
  return parsed.success && parsed.data.unit === unit ? parsed.data : undefined;
}

/** Files in the work folder, read as they are. */
export const resultFiles = (work: string, paths: readonly string[]): readonly ResultFile[] =>
  [...new Set(paths)].sort().map((path) => {
    const { sha256 } = hashFile(path);
    const { size, mtimeMs } = statSync(path);
    return { path: relative(work, resolve(path)).replaceAll('\\', '/'), bytes: size, sha256, modified: mtimeMs };
  });

/** Whether a file of results is there as it was written. */
export function hasDigest(work: string, { path, bytes, sha256 }: ResultFile): boolean {
  try {
    const file = join(work, path);
    return statSync(file).size === bytes && hashFile(file).sha256 === sha256;
  } catch {
    return false;
  }
}

/** The results of a plan's units. */
export class Results {
  readonly #folder: string;
  readonly #work: string;
  readonly #log: Log;
  readonly #readOnly: boolean;
  /** Units whose results this process has found whole, with the states of their files. */
  readonly #whole: Map<string, string> = new Map();

  /**
   * `work`: the folder that files of results are in. Damaged files are reported to `log`. With `readOnly` nothing is changed, and only
   * sizes are compared.
   */
  constructor(plan: string, work: string, log: Log, readOnly: boolean = false) {
    this.#readOnly = readOnly;
    this.#folder = join(plan, 'done');
    this.#work = resolve(work);
    this.#log = log;
  }

  /** The result of a unit, if its files are there with their sizes and times; those that differ are read, and damage is said. */
  find(unit: string): UnitResult | undefined {
    const result = this.#read(unit);
    if (result === undefined) return undefined;
    const states = result.files.map((file) => this.#stateOf(file));
    const key = states.join('\n');
    if (this.#whole.get(unit) === key) return result;
    const problem = result.files.find((file, at) => !this.#isWhole(file, states[at]));
    if (problem !== undefined) {
      this.#log.warn(`${problem.path} of ${unit} is not as it was written; the unit is run again [damaged-file].`);
      this.remove(unit);
      return undefined;
    }
    this.#whole.set(unit, key);
    return result;
  }

  /** Writes down that a unit is done. `paths` are the files that it made or found. */
  save(unit: string, paths: readonly string[], facts: ResultFacts): UnitResult {
    const result: UnitResult = { unit, files: resultFiles(this.#work, paths), ...facts };
    staged(this.#pathOf(unit), (path) => writeFileSync(path, sealedJson(result, 1)));
    return result;
  }

  /** Reads every file of a unit's results. What is damaged is said, and its unit is open again. */
  check(unit: string): boolean {
    const result = this.#read(unit);
    const isWhole = result?.files.every((file) => hasDigest(this.#work, file)) ?? false;
    if (result !== undefined && !isWhole) {
      this.#log.warn(`The results of ${unit} are not as they were written; the unit is run again [damaged-file].`);
      this.remove(unit);
    }
    return isWhole;
  }

  /** Forgets that a unit is done. */
  remove(unit: string): void {
    this.#whole.delete(unit);
    if (!this.#readOnly) rmSync(this.#pathOf(unit), { force: true });
  }

  #read(unit: string): UnitResult | undefined {
    try {
      const result = parseResult(readSealed(this.#pathOf(unit)), unit);
      if (result !== undefined) return result;
    } catch (error) {
      if (!(error instanceof CompilerError)) throw error;
      if (error.code === 'file-missing') return undefined;
    }
    this.#log.warn(`${this.#pathOf(unit)} is damaged; the unit is run again [damaged-file].`);
    this.remove(unit);
    return undefined;
  }

  #stateOf({ path }: ResultFile): string {
    const stats = statSync(join(this.#work, path), { throwIfNoEntry: false });
    return stats === undefined ? '' : `${stats.size} ${stats.mtimeMs}`;
  }

  #isWhole(file: ResultFile, state: string | undefined): boolean {
    if (state === `${file.bytes} ${file.modified}`) return true;
    return this.#readOnly ? (state?.startsWith(`${file.bytes} `) ?? false) : hasDigest(this.#work, file);
  }

  #pathOf(unit: string): string {
    return join(this.#folder, `${unit}.json`);
  }
}
