/** The road from a float export to the nested set. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import type { Recipe } from './recipe.js';
import type { TextOptions } from './text-options.js';

export interface CompileOptions {
  readonly model: string;
  /** Folder of the set. */
  readonly output: string;
  /** File name stem of the set; the model's by default. */
  readonly name?: string;
  readonly recipe: Recipe;
  readonly text?: TextOptions;
  readonly threads: number;
  readonly memoryBytes: number;
  readonly seed: number;
  /** Write self-contained models, one per precision, instead of the nested set. */
  readonly standalone: boolean;
  /** Fail when something in scope stays float. */
  readonly strict: boolean;
  /** Folder of results that a later run may reuse. */
  readonly work?: string;
}

export interface CompileResult {
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  readonly precisions: readonly {
    readonly bits: number;
    readonly bytes: number;
    readonly storedBitsPerWeight: number;
  }[];
  readonly quantized: number;
  readonly refused: readonly { readonly at: string; readonly code: string; readonly reason: string }[];
  readonly seconds: number;
}

export async function compile(options: CompileOptions, _context: Context): Promise<CompileResult> {
  return fail('bad-usage', options.model, 'compile is not available yet');
}
