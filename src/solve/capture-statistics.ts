/** What a recipe's method learns from text, as a folder: captured, or added up from folders of several runs. */

import { join } from 'node:path';
import { saveStatistics } from '../capture/index.js';
import { fail } from '../diagnostics.js';
import type { InputWatch } from '../files/input-watch.js';
import { machineOf } from '../files/machine.js';
import { stagedFolder } from '../files/staging.js';
import { openWorkFolder } from '../files/work-folder.js';
import { type Context, silentContext } from '../log.js';
import { checkOptions, type RecipeTaking, recipeOf } from '../options/index.js';
import { guardOutputs } from '../outputs/index.js';
import {
  type AskedInputs,
  inputFiles,
  openSource,
  requireFinite,
  watchModel,
  withInputs,
  withResolved,
} from '../source/index.js';
import { type TextInput, textFiles } from '../text/index.js';
import { type MeasureOptions, measureText } from './measure.js';
import { requireMemory } from './peak-memory.js';
import { type TextEvidence, textEvidence } from './text-evidence.js';

/** The options of `captureStatistics` with all defaults filled in; `CaptureStatisticsInput` is what a caller passes. */
export interface CaptureStatisticsOptions extends Omit<MeasureOptions, 'machine'> {
  /** Worker threads. */
  readonly threads: number;
  /** Bytes of memory to plan for. */
  readonly memoryBytes: number;
  /** Folder that keeps statistics for later runs. */
  readonly work?: string;
  /** Where temporary folders are made; the folder of the system by default. */
  readonly workDir?: string;
  /** ONNX file of a float export. */
  readonly model: string;
  /** Folder of the statistics. */
  readonly output: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** The statistics that were written. */
export interface CaptureStatisticsResult {
  /** Folder of the statistics. */
  readonly folder: string;
  /** Digest of text, model and version. */
  readonly digest: string;
  readonly windows: number;
  readonly tokens: number;
  /** How much text there was and how much the widest projection needs; a compilation blends the rest with random ids. */
  readonly evidence: TextEvidence;
  /** Number of different inputs of projections; gate and up share one. */
  readonly groups: number;
  readonly seconds: number;
}

/** What `captureStatistics` takes: either text or statistics to add up; the recipe is `best` by default. */
export type CaptureStatisticsInput = RecipeTaking<
  Omit<CaptureStatisticsOptions, 'text'>,
  'threads' | 'memoryBytes' | 'seed'
> &
  Pick<AskedInputs, 'file' | 'hub'> & { readonly text?: TextInput | undefined };

/** Writes statistics of the projections in the recipe's scope. Nothing is written unless all of it succeeds. */
export async function captureStatistics(
  input: CaptureStatisticsInput,
  context: Context = silentContext(),
): Promise<CaptureStatisticsResult> {
  const { text, ...asked } = checkOptions<CaptureStatisticsOptions & AskedInputs>('capture', input);
  const recipe = recipeOf({ ...asked, text });
  if ((text === undefined) === (asked.statistics === undefined))
    fail('bad-usage', 'text', 'Give either text to capture or `statistics` to add up');
  const need = { part: 'calibration', ...recipe } as const;
  return withResolved(asked.model, { ...asked, text }, need, context, ({ folder, text: files }) =>
    captureFiles({ ...asked, ...(files && { text: files }), model: folder.graph, recipe }, context),
  );
}

async function captureFiles(options: CaptureStatisticsOptions, context: Context): Promise<CaptureStatisticsResult> {
  const { model, output, text, statistics: added = [], work, overwrite } = options;
  guardOutputs({
    models: [model],
    inputs: textFiles(text),
    inputFolders: added,
    files: [{ path: join(output, 'statistics.json'), kind: 'statistics' }],
    folders: [output, work],
    overwrite,
  });
  if (work !== undefined) openWorkFolder(work);
  return withInputs(inputFiles(model, text), (inputs) => captureInputs(options, inputs, context));
}

async function captureInputs(
  options: CaptureStatisticsOptions,
  inputs: InputWatch,
  context: Context,
): Promise<CaptureStatisticsResult> {
  const { model, output, recipe } = options;
  const started = performance.now();
  const machine = machineOf(options);
  const source = openSource(model, recipe);
  watchModel(inputs, source.model);
  requireMemory(source, recipe, machine.memoryBytes);
  requireFinite(source, context);
  const { captured, projections } = await measureText(source, { ...options, machine }, context);
  if (captured === undefined) return fail('bad-usage', model, `The method ${recipe.method} uses no statistics`);
  const { statistics, close } = captured;
  const { header, groups } = statistics;
  const write = async (folder: string): Promise<void> => {
    await saveStatistics(statistics, folder);
    await inputs.check();
  };
  await stagedFolder(output, write, ['statistics.json']).finally(close);
  const { digest, windows, tokens } = header;
  const vocabulary = source.analysis.embedding?.vocabulary ?? 0;
  const { weightOf: _, ...evidence } = textEvidence(header, projections, vocabulary);
  const seconds = (performance.now() - started) / 1000;
  return { folder: output, digest, windows, tokens, evidence, groups: groups.length, seconds };
}
