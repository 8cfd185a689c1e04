/** Appends the missing bytes to a data file that was cut, so that a higher precision runs. */
import { statSync } from 'node:fs';
import { fail } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import { checkOptions } from '../options/index.js';
import { guardOutputs } from '../outputs/index.js';
import { bytesNeeded } from '../quant/layout.js';
import { requireData } from './set-digests.js';
import { appendData } from './set-files.js';
import { openSet } from './set-manifest.js';

/** The options of `append`. */
export interface AppendOptions {
  /** The .json of the set whose data file is short. */
  readonly set: string;
  /** Highest precision to run afterwards. */
  readonly bits: number;
  /** A longer data file of the same set, or a file of just the missing bytes. */
  readonly from: string;
}

/** The data file after appending. */
export interface AppendResult {
  /** The data file. */
  readonly path: string;
  /** Number of bytes appended; 0 if none were missing. */
  readonly appendedBytes: number;
  /** Size of the data file afterwards. */
  readonly bytes: number;
}

/** Appends the missing bytes to a data file that was cut. Fails with `damaged` if the result is not the data of the set. */
export async function append(input: AppendOptions, _context: Context = silentContext()): Promise<AppendResult> {
  const options = checkOptions<AppendOptions>('append', input);
  const set = openSet(options.set);
  guardOutputs({ inputs: [options.set, options.from], files: [{ path: set.dataPath, kind: 'set-data' }] });
  const needed = bytesNeeded(set.manifest.layout, options.bits);
  if (set.dataBytes >= needed) requireData(set, needed);
  if (set.dataBytes >= needed) return { path: set.dataPath, appendedBytes: 0, bytes: set.dataBytes };
  const appendedBytes = appendData(set, needed, {
    path: options.from,
    start: startOf(options.from, set.dataBytes, needed),
  });
  return { path: set.dataPath, appendedBytes, bytes: statSync(set.dataPath).size };
}

/** A file as long as the whole is a data file; one of the missing length holds just that. */
function startOf(path: string, have: number, needed: number): number {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined || !stats.isFile()) fail('file-missing', path, 'There is no such file');
  if (stats.size >= needed) return 0;
  if (stats.size === needed - have) return have;
  return fail(
    'precision-missing',
    path,
    `The file has ${stats.size} bytes: neither the ${needed} of the data file nor the ${needed - have} that are missing`,
  );
}
