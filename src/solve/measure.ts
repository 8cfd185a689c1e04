/** The stage that runs the float model over calibration text: windows in, Gram statistics out, with what little text leaves open filled up. */
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import type { Projection } from '../analysis/projection.js';
import { blendStatistics, countText, type Statistics } from '../capture/index.js';
import type { Context } from '../log.js';
import { fileSizesOf } from '../onnx/convert/file-sizes.js';
import { METHODS, type Recipe, takesStatistics } from '../recipe/index.js';
import { quantizesTables, requireText, type Source, vocabularyOf } from '../source/index.js';
import { readSplit, type SplitText, type TextOptions } from '../text/index.js';
import {
  type Captured,
  type CaptureWindowsOptions,
  captureWindows,
  RANDOM,
  statisticsOf,
  TEXT,
} from './capture-windows.js';
import { madeWindows } from './made-windows.js';
import { PROBE_WINDOWS, type ProbeText, probeText, type TextUse } from './probe-text.js';
import { evidenceText, recipeForLittleText, type TextEvidence, textEvidence } from './text-evidence.js';

/** Text, or captured statistics, and the recipe that says what of them is needed. */
export interface MeasureOptions extends CaptureWindowsOptions {
  readonly recipe: Recipe;
  /** Calibration text. */
  readonly text?: TextOptions;
  /** Random seed. */
  readonly seed: number;
  /** Folders of captured statistics. They are added, and text is then not captured. */
  readonly statistics?: readonly string[];
}

const NO_TEXT: SplitText = { windows: [], held: [] };

/** What text itself gives. */
export interface TextMeasured {
  readonly text: SplitText;
  /** Projections that statistics are for. */
  readonly projections: readonly Projection[];
  readonly captured: Captured | undefined;
}

/** What was learned, and from how much. */
export interface Measured {
  readonly statistics: Statistics | undefined;
  /** How far the text goes; undefined where nothing was learnt from text. */
  readonly evidence: TextEvidence | undefined;
  /** As the solver takes it: that of sets without text where there is too little. */
  readonly recipe: Recipe;
  /** Windows of the text, with random token ids behind them where it is little; empty without text. */
  readonly windows: readonly Int32Array[];
  /** What the emitted models are compared with their source on. */
  readonly probe: ProbeText;
  readonly tokens: number;
  readonly seconds: number;
  /** Removes statistics that no later run is to find. */
  close(): void;
}

/** Reads the text and captures the statistics that the recipe's method needs; nothing for methods that look at weights only. */
export async function measureText(source: Source, options: MeasureOptions, context: Context): Promise<TextMeasured> {
  const { recipe } = options;
  const text = readText(source, options, context);
  const wanted = new Set(source.chosen.map(({ projection }) => projection.id));
  const takesHead = quantizesTables(recipe);
  const projections = source.analysis.projections.filter(
    ({ id, role }) => wanted.has(id) || (takesHead && role === 'head'),
  );
  const underGram = recipe.train?.start === 'grid' || recipe.train?.objective === 'gram';
  const isMeasured = takesStatistics(recipe.method) || underGram;
  if (isMeasured && options.statistics !== undefined) {
    const statistics = await statisticsOf(source, projections, options.statistics);
    return { text, projections, captured: { statistics, close: () => undefined } };
  }
  if (!isMeasured || text.windows.length === 0) return { text, projections, captured: undefined };
  const captured = await captureWindows(source, text.windows, projections, { ...options, name: TEXT }, context);
  return { text, projections, captured };
}

/** What the recipe's method learns: from text, from random token ids, or from text with random ids where it is little. */
export async function measure(source: Source, options: MeasureOptions, context: Context): Promise<Measured> {
  const started = performance.now();
  const found = await measureText(source, options, context);
  const { text, captured } = found;
  try {
    const filled = await fillUp(source, found, options, context);
    const tokens = text.windows.reduce((sum, window) => sum + window.length, 0);
    return {
      ...filled,
      // What stands in for text is no text to score.
      probe: probeText(source, options.text ? text : NO_TEXT, useOf(options, captured), options.seed),
      tokens: captured?.statistics.header.tokens ?? tokens,
      seconds: (performance.now() - started) / 1000,
      close: () => {
        captured?.close();
        filled.close();
      },
    };
  } catch (error) {
    captured?.close();
    throw error;
  }
}

/** Windows that are as many as the model takes at a time, and some that are kept back. */
function readText(source: Source, options: MeasureOptions, context: Context): SplitText {
  const { recipe, text, seed, machine } = options;
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
  const fits = 2 * fileSizesOf(source.path).fileBytes <= machine.memoryBytes;
  return {
    windows: METHODS[recipe.method].needs === 'random-ids' && fits ? whole(madeWindows(source, seed)) : [],
    held: [],
  };
}

/** What is learnt from text alone where that is enough, or with random token ids. */
async function fillUp(
  source: Source,
  { text: { windows }, projections, captured }: TextMeasured,
  options: MeasureOptions,
  context: Context,
): Promise<Pick<Measured, 'statistics' | 'evidence' | 'recipe' | 'windows' | 'close'>> {
  const { recipe, seed } = options;
  const statistics = captured?.statistics;
  const plain = { statistics, recipe, windows, close: () => undefined };
  if (useOf(options, captured) === 'none') return { ...plain, evidence: undefined };
  const tokens = windows.reduce((sum, window) => sum + window.length, 0);
  const facts = statistics?.header ?? { tokens, counts: countText(windows) };
  const { weightOf, ...evidence } = textEvidence(facts, projections, vocabularyOf(source) ?? 0);
  const isEnough = evidence.textWeight >= 1;
  context.log[isEnough ? 'info' : 'warn'](evidenceText(evidence));
  if (isEnough || !recipe.fillText) return { ...plain, evidence };
  const made = madeWindows(source, seed);
  const random =
    statistics && made.length > 0
      ? await captureWindows(
          source,
          made,
          projections,
          { ...options, name: RANDOM, modelDigest: statistics.header.model },
          context,
        )
      : undefined;
  return {
    evidence,
    statistics: statistics && blendStatistics(statistics, random?.statistics, weightOf),
    recipe: evidence.isLittle ? recipeForLittleText(recipe) : recipe,
    windows: evidence.isLittle && windows.length > 0 ? [...windows, ...made] : windows,
    close: () => random?.close(),
  };
}

/** What becomes of the text. */
function useOf({ recipe, text, statistics }: MeasureOptions, captured: Captured | undefined): TextUse {
  if (text === undefined && statistics === undefined) return 'none';
  if (recipe.distill !== undefined || recipe.qat !== undefined || statistics !== undefined) return 'all';
  const learns = captured !== undefined || recipe.train !== undefined || recipe.prefix !== undefined;
  return learns ? 'first' : 'none';
}
