/** The stage that runs the float model over calibration text: windows in, Gram statistics out. */
import { capture } from '../calibrate/capture.js';
import type { Statistics } from '../calibrate/statistics.js';
import type { Context } from '../log.js';
import { ortRuntime } from '../runtime/ort.js';
import type { Recipe } from './recipe.js';
import { DATA_FREE_METHODS } from './solve-projections.js';
import type { Source } from './source.js';
import type { TextOptions } from './text-options.js';
import { readWindows } from './windows.js';

export interface MeasureOptions {
  readonly recipe: Recipe;
  readonly text?: TextOptions;
  readonly threads: number;
  readonly memoryBytes: number;
  /** Folder that keeps statistics for later runs. */
  readonly work?: string;
}

/** What was learned, and from how much. */
export interface Measured {
  readonly statistics: Statistics | undefined;
  /** Windows of the text, also used to probe what is emitted; empty without text. */
  readonly windows: readonly Int32Array[];
  readonly tokens: number;
  readonly seconds: number;
}

/** Captures the statistics that the recipe's method needs; nothing for methods that look at weights only. */
export async function measure(source: Source, options: MeasureOptions, context: Context): Promise<Measured> {
  const started = performance.now();
  const { recipe, text } = options;
  const limit = Math.max(1, Math.ceil(recipe.tokens / recipe.window));
  const vocabulary = source.analysis.embedding?.vocabulary;
  const windows = text === undefined ? [] : readWindows(text, { window: recipe.window, limit, vocabulary });
  const tokens = windows.reduce((sum, window) => sum + window.length, 0);
  const done = (statistics: Statistics | undefined): Measured => ({
    statistics,
    windows,
    tokens,
    seconds: (performance.now() - started) / 1000,
  });
  if (DATA_FREE_METHODS.has(recipe.method)) return done(undefined);
  const statistics = await capture(source.model, source.analysis, windows, ortRuntime, {
    threads: options.threads,
    memoryBytes: options.memoryBytes,
    ...(options.work !== undefined && { folder: `${options.work}/statistics` }),
    signal: context.signal,
    onProgress: ({ segment, segments, done: share }) =>
      context.progress.update({
        stage: 'capture',
        done: share,
        total: 1,
        detail: `segment ${segment + 1} of ${segments}`,
      }),
  });
  return done(statistics);
}
