/** Mixed precision by layer: one more graph over the data file of a set. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';

/** What the mix is to reach. */
export type MixGoal =
  | { readonly averageBits: number }
  | { readonly targetBytes: number }
  | { readonly bitsFile: string };

export interface MixOptions {
  /** The .json of a set. */
  readonly set: string;
  readonly goal: MixGoal;
  /** The .onnx file to write; beside the set by default. */
  readonly output?: string;
  readonly standalone: boolean;
}

export interface MixResult {
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  readonly averageBits: number;
  readonly storedBitsPerWeight: number;
  readonly layers: readonly { readonly layer: number; readonly bits: number }[];
}

export async function mix(options: MixOptions, _context: Context): Promise<MixResult> {
  return fail('bad-usage', options.set, 'mix is not available yet');
}
