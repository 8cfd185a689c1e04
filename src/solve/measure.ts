/** The stage that runs the float model over calibration text: windows in, Gram statistics out, with what little text leaves open filled up. */
import { blendStatistics, joinShards, type Statistics, shrinkRouted } from '../capture/index.js';
import type { Context } from '../log.js';
import type { Recipe } from '../recipe/index.js';
import type { Source } from '../source/index.js';
import { type SplitText, tokensIn } from '../text/index.js';
import { type Calibration, calibrationOf, fillingOf, type MeasureOptions } from './calibration.js';
import { type Captured, captureRandom, captureShard, statisticsOf } from './capture-windows.js';
import { type ProbeText, probeText, type TextUse } from './probe-text.js';
import { recipeForLittleText, type TextEvidence } from './text-evidence.js';

export type { MeasureOptions } from './calibration.js';

const NO_TEXT: SplitText = { windows: [], held: [] };

/** What text itself gives. */
export interface TextMeasured extends Calibration {
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
  const calibration = calibrationOf(source, options, context);
  const { projections, isMeasured, shards } = calibration;
  if (!isMeasured) return { ...calibration, captured: undefined };
  if (options.statistics !== undefined) {
    const statistics = await statisticsOf(source, projections, options.statistics, options.modelDigest);
    return { ...calibration, captured: { statistics, close: () => undefined } };
  }
  const parts: Captured[] = [];
  const close = (): void => parts.forEach((part) => part.close());
  try {
    for (const at of shards.keys()) {
      const modelDigest = options.modelDigest ?? parts[0]?.statistics.header.model;
      const own = modelDigest === undefined ? options : { ...options, modelDigest };
      parts.push(await captureShard(source, calibration, at, own, context));
    }
    const statistics = joinShards(
      parts.map((part) => part.statistics),
      calibration.text.windows,
    );
    return { ...calibration, captured: { statistics, close } };
  } catch (error) {
    close();
    throw error;
  }
}

/** What the recipe's method learns: from text, from random token ids, or from text with random ids where it is little. */
export async function measure(source: Source, options: MeasureOptions, context: Context): Promise<Measured> {
  const started = performance.now();
  const found = await measureText(source, options, context);
  const { text, captured } = found;
  try {
    const filled = await fillUp(source, found, options, context);
    const tokens = tokensIn(text.windows);
    return {
      ...filled,
      // What stands in for text is no text to score.
      probe: probeText(source, options.text ? text : NO_TEXT, useOf(options, found), options.seed),
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

/** What is learnt from text alone where that is enough, or with random token ids. */
async function fillUp(
  source: Source,
  found: TextMeasured,
  options: MeasureOptions,
  context: Context,
): Promise<Pick<Measured, 'statistics' | 'evidence' | 'recipe' | 'windows' | 'close'>> {
  const { recipe } = options;
  const { captured, projections } = found;
  const { windows } = found.text;
  const statistics = captured?.statistics;
  const plain = { statistics, recipe, windows, close: () => undefined };
  if (useOf(options, found) === 'none') return { ...plain, evidence: undefined };
  const { evidence, weightOf, made } = fillingOf(source, found, statistics?.header, options, context);
  if (made === undefined) {
    const own = statistics && recipe.fillText ? shrinkRouted(statistics, weightOf) : statistics;
    return { ...plain, evidence, statistics: own };
  }
  const random =
    statistics && made.length > 0
      ? await captureRandom(source, made, projections, { ...options, modelDigest: statistics.header.model }, context)
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
export function useOf(
  { recipe, text, statistics }: MeasureOptions,
  { isMeasured }: Pick<Calibration, 'isMeasured'>,
): TextUse {
  if (text === undefined && statistics === undefined) return 'none';
  if (recipe.distill !== undefined || recipe.qat !== undefined || statistics !== undefined) return 'all';
  const learns = isMeasured || recipe.train !== undefined || recipe.prefix !== undefined;
  return learns ? 'first' : 'none';
}
