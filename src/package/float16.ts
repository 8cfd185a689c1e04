/** Models with float16 activations beside those with float32 ones: another graph over the same weights. */
import { linkSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { checkLevels, evaluateModels, LEVEL_TOKENS, roundedCopy } from '../evaluate/index.js';
import { digestOfWhole } from '../files/range-digests.js';
import type { Context } from '../log.js';
import { ortRuntime } from '../runtime/ort.js';
import { type Float16Facts, rangeWindows, slice } from '../set/index.js';
import type { TextOptions } from '../text/index.js';
import { chunkName, splitData } from './chunks.js';
import type { PackagedModel } from './transformers-js.js';

/** What is known of a model in float16. */
export interface Float16Package extends Float16Facts {
  /** KL to the float32 form with every float16 value rounded, nats per position. */
  readonly kl: number;
}

/** The set and the precision that a model is made of. */
interface From {
  readonly set: string;
  readonly bits: number;
  readonly chunkBytes: number;
}

/** The model to be made: its name, its path and that of its float32 form, relative to the package. */
interface Wanted {
  readonly dtype: string;
  readonly path: string;
  readonly beside: string;
  readonly text: TextOptions | undefined;
  /** Size of the vocabulary, where it is known. */
  readonly vocabulary: number | undefined;
}

/**
 * Writes a model in float16 and compares it with its float32 form. Files of equal weights become one file with two names where the
 * disk can do that. Fails with `parity` where logits are not finite, with `levels-differ` where they depend on the level of optimization, and with `float16-range` where a cache is beyond float16.
 */
export async function writeFloat16(
  folder: string,
  { set, bits, chunkBytes }: From,
  { dtype, path, beside, text, vocabulary }: Wanted,
  context: Context,
): Promise<{ readonly model: PackagedModel; readonly chunks: number }> {
  const output = join(folder, path);
  const measured = text === undefined ? {} : { text };
  const { files, float16 } = await slice(
    { set, bits, output, standalone: true, slice: 'prefix', float16: true, ...measured },
    context,
  );
  if (float16 === undefined) throw new Error('the slice says nothing of float16');
  const bytes = files.reduce((sum, file) => sum + statSync(file.path).size, 0);
  const chunks = splitData(output, bytes - statSync(output).size, chunkBytes);
  for (let at = 0; at < chunks; at++) shareFile(chunkName(join(folder, beside), at), chunkName(output, at));
  const windows = rangeWindows(text, vocabulary).slice(0, 1);
  const rounded = roundedCopy(output);
  const kl = await klTo(join(folder, beside), rounded.path, windows, context).finally(rounded.close);
  if (!Number.isFinite(kl)) fail('parity', dtype, `The logits of the ${dtype} graph are not finite`);
  const levels = { runtime: ortRuntime, path: output, name: dtype, source: join(folder, beside), threads: 1 };
  await checkLevels({ ...levels, ids: windows[0]?.slice(0, LEVEL_TOKENS) ?? [1], log: context.log });
  return { model: { bits, name: dtype, path, bytes, float16: { ...float16, kl } }, chunks };
}

async function klTo(
  reference: string,
  candidate: string,
  windows: readonly Int32Array[],
  { signal }: Context,
): Promise<number> {
  const result = await evaluateModels({
    runtime: ortRuntime,
    reference,
    candidates: [candidate],
    windows,
    apart: true,
    speed: false,
    signal,
  });
  return result.candidates[0]?.kl ?? Number.NaN;
}

/** Makes `copy` another name of `original` where both hold the same bytes. */
function shareFile(original: string, copy: string): void {
  const sizes = [original, copy].map((path) => statSync(path, { throwIfNoEntry: false })?.size);
  if (sizes[0] !== sizes[1] || digestOfWhole(original) !== digestOfWhole(copy)) return;
  const linked = `${copy}.link`;
  try {
    linkSync(original, linked);
    renameSync(linked, copy);
  } catch {
    // File systems without hard links keep the copy.
    rmSync(linked, { force: true });
  }
}
