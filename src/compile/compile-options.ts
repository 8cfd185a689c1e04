/** What `compile` takes and gives. */
import { basename, join } from 'node:path';
import { requireName } from '../files/file-names.js';
import { namesIn } from '../files/listed-files.js';
import { openWorkFolder } from '../files/work-folder.js';
import { calibratedRecipeOf, checkOptions, type RecipeTaking } from '../options/index.js';
import { guardOutputs, type Output, type OutputCheck } from '../outputs/index.js';
import type { Recipe } from '../recipe/index.js';
import { graphName, stemOfData } from '../set/index.js';
import type { TableReport, TextEvidence } from '../solve/index.js';
import { type TextOptions, textFiles } from '../text/index.js';
import type { DistillReport } from '../train/index.js';
import type { Probe } from './check-set.js';
import type { ProjectionReport } from './projection-report.js';

export interface CompileOptions {
  readonly model: string;
  /** Folder of the set. */
  readonly output: string;
  /** File name stem of the set; the model's by default. */
  readonly name?: string;
  readonly recipe: Recipe;
  /** Bytes that the smallest model may take: the rest is stored as small as this needs. */
  readonly targetBytes?: number;
  readonly text?: TextOptions;
  /** Folders of statistics captured before, which are added up and stand in for text in the solver. */
  readonly statistics?: readonly string[];
  readonly threads: number;
  readonly memoryBytes: number;
  readonly seed: number;
  /** Write self-contained models, one per precision, instead of the nested set. */
  readonly standalone: boolean;
  /** Fail when something in scope stays float. */
  readonly strict: boolean;
  /** Folder of results that a later run may reuse. */
  readonly work?: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** One model of the set. */
export interface CompiledPrecision {
  readonly bits: number;
  /** Graph and the part of the data file it needs. */
  readonly bytes: number;
  /** The part of the data file it needs. */
  readonly dataBytes: number;
  readonly storedBitsPerWeight: number;
  /** Comparison with the source on a short probe; absent when the source does not fit the memory. */
  readonly probe?: Probe;
}

export interface CompileResult {
  /** The recipe, fitted to the target size where one was given. */
  readonly recipe: Recipe;
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  readonly precisions: readonly CompiledPrecision[];
  readonly quantized: number;
  readonly refused: readonly { readonly at: string; readonly code: string; readonly reason: string }[];
  readonly projections: readonly ProjectionReport[];
  /** Embedding and head, where they were quantized. */
  readonly tables: readonly TableReport[];
  /** Precisions whose tables were distilled. */
  readonly distilled: readonly DistillReport[];
  readonly calibrationTokens: number;
  /** What the text has beside what the widest projection needs; undefined where nothing was learnt from text. */
  readonly calibration: TextEvidence | undefined;
  readonly seconds: number;
  /** Seconds by stage. */
  readonly stages: Readonly<Record<string, number>>;
  /** Most memory that this process has held so far. */
  readonly peakMemoryBytes: number;
}

/** What `compile` takes. Model and output are enough: without text the recipe is then `data-free`, with text `best`. */
export type CompileInput = RecipeTaking<
  CompileOptions,
  'threads' | 'memoryBytes' | 'seed' | 'standalone' | 'strict' | 'text'
>;

/** Options that were checked, and the file name stem of the set. */
export interface Asked {
  readonly options: CompileOptions;
  readonly stem: string;
}

/** Checks options and every file that may be written or removed. Fails with `bad-usage` where an option is not valid. */
export function askedOf(input: CompileInput): Asked {
  const checked = checkOptions<CompileOptions>('compile', input);
  const options = { ...checked, recipe: calibratedRecipeOf(checked) };
  const { model, name, work } = options;
  const stem = requireName(name ?? basename(model).replace(/\.onnx$/i, ''), name === undefined ? model : 'name');
  guardOutputs(outputsOf(options, stem));
  if (work !== undefined) openWorkFolder(work);
  return { options, stem };
}

/** What a compilation reads, and every file that it may write or remove. */
function outputsOf(options: CompileOptions, stem: string): OutputCheck {
  const { model, output, recipe, text, statistics = [], standalone, work, overwrite } = options;
  const at = (file: string): string => join(output, file);
  const graphs = recipe.bits.map((bits) => at(graphName(stem, bits)));
  const old = namesIn(output).filter((name) => stemOfData(name) === stem);
  const files: readonly Output[] = [
    ...graphs.map((path) => ({ path, kind: 'model' }) as const),
    { path: at(`${stem}.report.json`), kind: 'report' },
    ...(standalone
      ? graphs.map((path) => ({ path: `${path}_data`, kind: 'data' }) as const)
      : [{ path: at(`${stem}.json`), kind: 'manifest' } as const]),
    ...old.map((name) => ({ path: at(name), kind: 'set-data' }) as const),
  ];
  const own = standalone ? {} : { own: at(`${stem}.json`) };
  const read = { models: [model], inputs: textFiles(text), inputFolders: statistics };
  return { ...read, files, folders: [output, work], ...own, overwrite };
}
