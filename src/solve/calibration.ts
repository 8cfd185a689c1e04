/** What will be measured, known from text and recipe before anything is run: windows, their shards, and what little text leaves open. */
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import type { Projection } from '../analysis/projection.js';
import { countText, type StatisticsHeader, shardsOf } from '../capture/index.js';
import type { Context } from '../log.js';
import { fileSizesOf } from '../onnx/convert/file-sizes.js';
import { METHODS, type Recipe, takesStatistics } from '../recipe/index.js';
import { quantizesTables, requireText, type Source, vocabularyOf } from '../source/index.js';
import { readSplit, type SplitText, type TextOptions, tokensIn } from '../text/index.js';
import type { CaptureWindowsOptions } from './capture-windows.js';
import { madeWindows } from './made-windows.js';
import { PROBE_WINDOWS } from './probe-text.js';
import { evidenceText, type TextEvidence, textEvidence } from './text-evidence.js';

/** Text, or captured statistics, and the recipe that says what of them is needed. */
export interface MeasureOptions extends CaptureWindowsOptions {
  readonly recipe: Recipe;
  /** Calibration text. */
  readonly text?: TextOptions;
  /** Random seed. */
  readonly seed: number;
  /** Folders of captured statistics. They are added, and text is then not captured. */
  readonly statistics?: readonly string[];
  /** Parts of the text whose statistics are captured apart; 1 by default. */
  readonly shards?: number;
  /** Bytes of memory that decide whether a model without text is run at all; the machine's by default. */
  readonly memoryBytes?: number;
  /** The text as it was read before, with the same options. */
  readonly calibration?: Calibration;
}

/** What is to be captured. */
export interface Calibration {
  readonly text: SplitText;
  /** Projections that statistics are for. */
  readonly projections: readonly Projection[];
  /** Windows of each shard; none where nothing is captured. */
  readonly shards: readonly (readonly Int32Array[])[];
  /** Whether the recipe is solved on statistics, captured here or given. */
  readonly isMeasured: boolean;
}

/** Reads the text and cuts it into shards. Fails as reading a text does. */
export function calibrationOf(source: Source, options: MeasureOptions, context: Context): Calibration {
  if (options.calibration !== undefined) return options.calibration;
  const { recipe, statistics, shards = 1 } = options;
  const text = readText(source, options, context);
  const wanted = new Set(source.chosen.map(({ projection }) => projection.id));
  const takesHead = quantizesTables(recipe);
  const projections = source.analysis.projections.filter(
    ({ id, role }) => wanted.has(id) || (takesHead && role === 'head'),
  );
  const underGram = recipe.train?.start === 'grid' || recipe.train?.objective === 'gram';
  const takesGram = takesStatistics(recipe.method) || underGram;
  const isCaptured = takesGram && statistics === undefined && text.windows.length > 0;
  return {
    text,
    projections,
    shards: isCaptured ? shardsOf(text.windows, shards, fixedShapeOf(source.model).batch) : [],
    isMeasured: isCaptured || (takesGram && statistics !== undefined),
  };
}

/** Windows that are as many as the model takes at a time, and some that are kept back. */
function readText(source: Source, options: MeasureOptions, context: Context): SplitText {
  const { recipe, text, seed, machine, memoryBytes = machine.memoryBytes } = options;
  const { batch = 1, length: exactly } = fixedShapeOf(source.model);
  const whole = (windows: readonly Int32Array[]): readonly Int32Array[] =>
    windows.length < batch ? windows : windows.slice(0, windows.length - (windows.length % batch));
  if (text !== undefined) {
    requireText(source.model, source.path);
    const limit = Math.max(1, Math.ceil(recipe.tokens / (exactly ?? recipe.window)));
    const vocabulary = vocabularyOf(source);
    const { log } = context;
    const split = readSplit(text, { window: recipe.window, limit, held: PROBE_WINDOWS, vocabulary, exactly, log });
    return { ...split, windows: whole(split.windows) };
  }
  // Without text a model that would pass the memory bound is solved under H = I.
  const fits = 2 * fileSizesOf(source.path).fileBytes <= memoryBytes;
  return {
    windows: METHODS[recipe.method].needs === 'random-ids' && fits ? whole(madeWindows(source, seed)) : [],
    held: [],
  };
}

/** How far a text goes, and what fills it up. */
export interface Filling {
  readonly evidence: TextEvidence;
  /** Of the text for inputs of width `k` that see this share of its rows. */
  weightOf(k: number, share: number): number;
  /** Windows of random token ids whose statistics are blended in; undefined where the text is enough or stays alone. */
  readonly made: readonly Int32Array[] | undefined;
}

/** What fills up the text of a calibration. `header`: of its statistics, where they were given and not captured. */
export function fillingOf(
  source: Source,
  { text: { windows }, projections }: Calibration,
  header: StatisticsHeader | undefined,
  { recipe, seed }: MeasureOptions,
  context: Context,
): Filling {
  const tokens = tokensIn(windows);
  const facts = header ?? { tokens, counts: countText(windows) };
  const { weightOf, ...evidence } = textEvidence(facts, projections, vocabularyOf(source) ?? 0);
  const isEnough = evidence.textWeight >= 1;
  context.log[isEnough ? 'info' : 'warn'](evidenceText(evidence));
  return { evidence, weightOf, made: isEnough || !recipe.fillText ? undefined : madeWindows(source, seed) };
}
