/** Text that a stage learns from end to end, with what the float model makes of it. */

import { createHash } from 'node:crypto';
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { digestOfModel, digestOfWindows } from '../capture/index.js';
import { fail } from '../diagnostics.js';
import type { Machine } from '../files/machine.js';
import type { Context } from '../log.js';
import type { Recipe } from '../recipe/index.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import type { Source } from '../source/index.js';
import { readWindows, type TextOptions } from '../text/index.js';
import { openTeacher, type Teacher } from './distill/teacher.js';
import { DistillText } from './distill/text.js';

/** Text with the teacher's states, split into windows to learn from and held-out windows. */
export interface TrainingText {
  readonly text: DistillText;
  readonly teacher: Teacher;
  readonly rows: readonly number[];
  readonly kept: readonly number[];
  readonly batch: number;
  readonly digest: string;
}

/** Where text comes from, and the machine. */
export interface TrainingTextOptions {
  readonly recipe: Recipe;
  readonly text: TextOptions;
  readonly machine: Machine;
}

/** How much text: tokens a step, steps, and held-out windows. */
export interface TrainingTextSettings {
  readonly batch: number;
  readonly steps: number;
  readonly kept: number;
}

/** Behind the windows that the statistics are from, as far as the text goes; the last ones are held out. */
export async function openTrainingText(
  { recipe, text: options, machine }: TrainingTextOptions,
  { batch: tokens, steps, kept }: TrainingTextSettings,
  source: Source,
  context: Context,
): Promise<TrainingText> {
  const fixed = fixedShapeOf(source.model);
  const window = fixed.length ?? recipe.window;
  const used = Math.ceil(recipe.tokens / window);
  const perStep = (length: number): number => fixed.batch ?? Math.max(1, Math.round(tokens / length));
  const wanted = steps * perStep(window) + kept;
  const vocabulary = source.analysis.embedding?.vocabulary;
  const all = readWindows(options, { window, exactly: fixed.length, limit: used + wanted, vocabulary });
  // A model that takes so many texts at a time takes no fewer.
  const found = all.slice(-wanted);
  const windows = found.slice(found.length % (fixed.batch ?? 1));
  if (windows.length <= kept)
    fail('empty-text', 'distill', `The text has ${all.length} windows, of which ${kept} are to be held out`);
  const text = new DistillText(windows);
  const modelDigest = digestOfModel(source.model);
  const teacher = await openTeacher({
    model: source.model,
    analysis: source.analysis,
    modelDigest,
    text,
    runtime: ortRuntime,
    machine,
    hints: readHints(source.path),
    log: context.log,
    signal: context.signal,
    onProgress: (done) => context.progress.update({ stage: 'teacher', done, total: 1 }),
  });
  const split = windows.length - kept;
  const numbers = windows.map((_, at) => at);
  const digest = createHash('sha256')
    .update(`${modelDigest} ${digestOfWindows(windows)}`)
    .digest('hex');
  const batch = perStep(text.length);
  return { text, teacher, rows: numbers.slice(0, split), kept: numbers.slice(split), batch, digest };
}
