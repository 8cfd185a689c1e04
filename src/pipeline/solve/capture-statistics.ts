/** What a recipe's method learns from text, as a folder: captured, or added up from folders of several runs. */
import { saveStatistics } from '../../calibrate/statistics-files.js';
import { stagedFolder } from '../../convert/output.js';
import { fail } from '../../diagnostics.js';
import type { Context } from '../../log.js';
import { openSource } from '../source.js';
import { type MeasureOptions, measureText } from './measure.js';
import { type TextEvidence, textEvidence } from './text-evidence.js';

export interface CaptureStatisticsOptions extends MeasureOptions {
  readonly model: string;
  /** Folder of the statistics. */
  readonly output: string;
}

export interface CaptureStatisticsResult {
  readonly folder: string;
  /** Names this text, model and version. */
  readonly digest: string;
  readonly windows: number;
  readonly tokens: number;
  /** How far the text goes; a compilation fills up what it leaves open. */
  readonly evidence: TextEvidence;
  /** Inputs of projections; gate and up have one together. */
  readonly groups: number;
  readonly seconds: number;
}

/** Writes statistics of the projections in the recipe's scope. Nothing is written unless all of it succeeds. */
export async function captureStatistics(
  options: CaptureStatisticsOptions,
  context: Context,
): Promise<CaptureStatisticsResult> {
  const { model, output, recipe } = options;
  if (options.text === undefined && options.statistics === undefined)
    return fail('bad-usage', '--text', 'Statistics are captured from text, or added up from others');
  const started = performance.now();
  const source = openSource(model, recipe);
  const { captured, projections } = await measureText(source, options, context);
  if (captured === undefined)
    return fail('bad-usage', model, `The method ${recipe.method} learns nothing from statistics`);
  const { statistics, close } = captured;
  const { header, groups } = statistics;
  await stagedFolder(output, (folder) => saveStatistics(statistics, folder), ['statistics.json']).finally(close);
  const { digest, windows, tokens } = header;
  const vocabulary = source.analysis.embedding?.vocabulary ?? 0;
  const { weightOf: _, ...evidence } = textEvidence(header, projections, vocabulary);
  const seconds = (performance.now() - started) / 1000;
  return { folder: output, digest, windows, tokens, evidence, groups: groups.length, seconds };
}
