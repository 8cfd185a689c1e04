/** What a recipe's method learns from text, as a folder: captured, or added up from folders of several runs. */
import { join } from 'node:path';
import { saveStatistics } from '../../calibrate/statistics-files.js';
import { stagedFolder } from '../../convert/output.js';
import { fail } from '../../diagnostics.js';
import type { Context } from '../../log.js';
import { guardOutputs } from '../outputs.js';
import { openSource } from '../source.js';
import { textFiles } from '../text-options.js';
import { type MeasureOptions, measure } from './measure.js';

export interface CaptureStatisticsOptions extends MeasureOptions {
  readonly model: string;
  /** Folder of the statistics. */
  readonly output: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

export interface CaptureStatisticsResult {
  readonly folder: string;
  /** Names this text, model and version. */
  readonly digest: string;
  readonly windows: number;
  readonly tokens: number;
  /** Inputs of projections; gate and up have one together. */
  readonly groups: number;
  readonly seconds: number;
}

/** Writes statistics of the projections in the recipe's scope. Nothing is written unless all of it succeeds. */
export async function captureStatistics(
  options: CaptureStatisticsOptions,
  context: Context,
): Promise<CaptureStatisticsResult> {
  const { model, output, recipe, text, statistics: added = [], work, overwrite } = options;
  guardOutputs({
    models: [model],
    inputs: textFiles(text),
    inputFolders: added,
    files: [{ path: join(output, 'statistics.json'), kind: 'statistics' }],
    folders: [output, work],
    overwrite,
  });
  const { statistics, seconds, close } = await measure(openSource(model, recipe), options, context);
  if (statistics === undefined)
    return fail('bad-usage', model, `The method ${recipe.method} learns nothing from statistics`);
  const { header, groups } = statistics;
  await stagedFolder(output, (folder) => saveStatistics(statistics, folder), ['statistics.json']).finally(close);
  const { digest, windows, tokens } = header;
  return { folder: output, digest, windows, tokens, groups: groups.length, seconds };
}
