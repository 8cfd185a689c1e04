/** One precision out of a nested set. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';

export interface SliceOptions {
  /** The .json of a set. */
  readonly set: string;
  readonly bits: number;
  /** The .onnx file to write. */
  readonly output: string;
  /** Pack the codes as the runtime wants them: no work at load, nothing shared with the set. */
  readonly standalone: boolean;
  readonly slice: 'prefix' | 'paper' | 'extra';
}

export interface SliceResult {
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  readonly storedBitsPerWeight: number;
}

export async function slice(options: SliceOptions, _context: Context): Promise<SliceResult> {
  return fail('bad-usage', options.set, 'slice is not available yet');
}
