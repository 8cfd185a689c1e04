/** The stage that runs the float model over calibration text: windows in, Gram statistics out. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fixedShapeOf } from '../../analysis/fixed-shape.js';
import type { Projection } from '../../analysis/projection.js';
import { capture } from '../../calibrate/capture.js';
import { digestOfModel } from '../../calibrate/model-digest.js';
import type { Statistics } from '../../calibrate/statistics.js';
import { checkStatistics, mergeStatistics, openStatistics } from '../../calibrate/statistics-files.js';
import { fileSizesOf } from '../../convert/file-sizes.js';
import { fail } from '../../diagnostics.js';
import { temporaryFolder } from '../../files/temporary.js';
import type { Context } from '../../log.js';
import { createRandom } from '../../random.js';
import { readHints } from '../../runtime/hints.js';
import { ortRuntime } from '../../runtime/ort.js';
import { requireText } from '../feedable.js';
import { spareMemory } from '../peak-memory.js';
import type { Recipe } from '../recipe/recipe.js';
import { type Source, vocabularyOf } from '../source.js';
import type { TextOptions } from '../text-options.js';
import { tableBits } from '../token-tables.js';
import { readWindows } from '../windows.js';

export interface MeasureOptions {
  readonly recipe: Recipe;
  readonly text?: TextOptions;
  readonly threads: number;
  readonly memoryBytes: number;
  readonly seed: number;
  /** Folders of statistics captured before, which are added up; text is then not captured. */
  readonly statistics?: readonly string[];
  /** Folder that keeps statistics for later runs. */
  readonly work?: string;
  /** Where temporary folders are made; default the system's. */
  readonly workDir?: string;
}

/** What was learned, and from how much. */
export interface Measured {
  readonly statistics: Statistics | undefined;
  /** Windows of the text, also used to probe what is emitted; empty without text. */
  readonly windows: readonly Int32Array[];
  readonly tokens: number;
  readonly seconds: number;
  /** Removes statistics that no later run is to find. */
  close(): void;
}

/** Methods that need no statistics, unless ranges are found or trained under them: they look at weights only, or at the activations themselves. */
const UNMEASURED: ReadonlySet<Recipe['method']> = new Set(['rtn', 'sliced-minmax', 'omniquant', 'matquant', 'qat']);

/** Windows and tokens in each that stand in for text. */
const MADE_WINDOWS = 64;
const MADE_TOKENS = 128;

/**
 * Random token ids in place of text. Fitted to what a model makes of them, the tables of a data-free set lose little against
 * real text (TinyStories-656K, block 32, KL at int4 / int3 / int2: H = I .0184 / .0845 / .448, random ids .0169 / .0746 /
 * .347, stories .0163 / .0717 / .332). None when running the model would pass the memory bound: then H = I.
 */
function madeWindows(source: Source, options: MeasureOptions): readonly Int32Array[] {
  const vocabulary = vocabularyOf(source) ?? 0;
  if (vocabulary < 2 || 2 * fileSizesOf(source.path).fileBytes > options.memoryBytes) return [];
  const random = createRandom(options.seed);
  const length = fixedShapeOf(source.model).length ?? MADE_TOKENS;
  return Array.from({ length: MADE_WINDOWS }, () => Int32Array.from({ length }, () => random.integer(vocabulary)));
}

/** Captures the statistics that the recipe's method needs; nothing for methods that look at weights only. */
export async function measure(source: Source, options: MeasureOptions, context: Context): Promise<Measured> {
  const started = performance.now();
  const { recipe, text } = options;
  if (text !== undefined) requireText(source.model, source.path);
  const vocabulary = vocabularyOf(source);
  const { batch = 1, length: exactly } = fixedShapeOf(source.model);
  const limit = Math.max(1, Math.ceil(recipe.tokens / (exactly ?? recipe.window)));
  const made = text === undefined && recipe.method === 'data-free' ? madeWindows(source, options) : [];
  const found = text === undefined ? made : readWindows(text, { window: recipe.window, limit, vocabulary, exactly });
  // A model that takes so many texts at a time takes no fewer.
  const windows = found.length < batch ? found : found.slice(0, found.length - (found.length % batch));
  const tokens = windows.reduce((sum, window) => sum + window.length, 0);
  const done = (statistics: Statistics | undefined, close: () => void = () => undefined): Measured => ({
    statistics,
    windows,
    tokens: statistics?.header.tokens ?? tokens,
    seconds: (performance.now() - started) / 1000,
    close,
  });
  const underGram = recipe.train?.start === 'grid' || recipe.train?.objective === 'gram';
  if (UNMEASURED.has(recipe.method) && !underGram) return done(undefined);
  const wanted = new Set(source.chosen.map(({ projection }) => projection.id));
  const takesHead = tableBits(recipe) !== undefined;
  const scope = ({ id, role }: Projection): boolean => wanted.has(id) || (takesHead && role === 'head');
  const measured = source.analysis.projections.filter(scope);
  if (options.statistics !== undefined) return done(await statisticsOf(source, measured, options.statistics));
  if (windows.length === 0) return done(undefined);
  const memoryBytes = spareMemory(source, recipe, options.memoryBytes);
  const place = placeFor(measured, { ...options, memoryBytes });
  const statistics = await capture(source.model, source.analysis, windows, ortRuntime, {
    threads: options.threads,
    memoryBytes,
    scope,
    hints: readHints(source.path),
    ...(place.folder !== undefined && { folder: place.folder }),
    signal: context.signal,
    log: context.log,
    onProgress: ({ segment, segments, done: share }) =>
      context.progress.update({
        stage: 'capture',
        done: share,
        total: 1,
        detail: `segment ${segment + 1} of ${segments}`,
      }),
  }).catch((error: unknown) => {
    place.close();
    throw error;
  });
  return done(statistics, place.close);
}

/** Statistics from folders, added up. Fails with `statistics` when they are another model's or lack an input. */
async function statisticsOf(
  source: Source,
  projections: readonly Projection[],
  folders: readonly string[],
): Promise<Statistics> {
  for (const folder of folders) checkStatistics(folder);
  const parts = await Promise.all(folders.map((folder) => openStatistics(folder)));
  const model = digestOfModel(source.model);
  const strange = parts.findIndex(({ header }) => header.model !== model);
  if (strange >= 0)
    fail('statistics', folders[strange] as string, `the statistics were made from another model than ${source.path}`);
  const merged = mergeStatistics(parts);
  const missing = projections.find(({ group }) => !merged.groups.includes(group));
  if (missing !== undefined)
    fail('statistics', folders[0] as string, `the statistics lack the input of ${missing.id}, which is in scope`);
  return merged;
}

/** Where statistics are kept: in the work folder, else in memory, else, where they take more than is spare, in files until the end. */
function placeFor(
  projections: readonly Projection[],
  { work, workDir, memoryBytes }: MeasureOptions,
): { readonly folder: string | undefined; close(): void } {
  const stay = (): void => undefined;
  if (work !== undefined) return { folder: join(work, 'statistics'), close: stay };
  const inputs = new Map(projections.map(({ group, k }) => [group, k]));
  const bytes = [...inputs.values()].reduce((sum, k) => sum + 8 * k * k, 0);
  if (bytes <= memoryBytes) return { folder: undefined, close: stay };
  const folder = temporaryFolder('statistics', workDir);
  return { folder, close: () => rmSync(folder, { recursive: true, force: true }) };
}
