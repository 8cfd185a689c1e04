/** Appends the missing bytes to a data file that was cut, so that a higher precision runs. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';

export interface AppendOptions {
  /** The .json of the set whose data file is short. */
  readonly set: string;
  /** The highest precision that is to run afterwards. */
  readonly bits: number;
  /** A longer data file of the same set. */
  readonly from: string;
}

export interface AppendResult {
  readonly path: string;
  readonly appendedBytes: number;
  readonly bytes: number;
}

export async function append(options: AppendOptions, _context: Context): Promise<AppendResult> {
  return fail('bad-usage', options.set, 'append is not available yet');
}
