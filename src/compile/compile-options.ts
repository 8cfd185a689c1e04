/** What `compile` takes and gives. */
import { basename, join } from 'node:path';
import { requireName } from '../files/file-names.js';
import { namesIn } from '../files/listed-files.js';
import { openWorkFolder } from '../files/work-folder.js';
import type { RecipeTaking } from '../options/index.js';
import { guardOutputs, type Output, type OutputCheck } from '../outputs/index.js';
import type { Recipe } from '../recipe/index.js';
import { type CompiledDistillation, graphName, type Refusal, stemOfData } from '../set/index.js';
import type { TableReport, TextEvidence } from '../solve/index.js';
import type { AskedInputs, ModelFolder } from '../source/index.js';
import { type TextInput, type TextOptions, textFiles } from '../text/index.js';
import type { Probe } from './check-set.js';
import type { ProjectionReport } from './projection-report.js';

/** The options of `compile` with all defaults filled in; `CompileInput` is what a caller passes. */
export interface CompileOptions {
  /** ONNX file of the float model. */
  readonly model: string;
  /** The model and what belongs to it. */
  readonly folder: ModelFolder;
  /** Folder of the set. */
  readonly output: string;
  /** File name stem of the set; the model's by default. */
  readonly name?: string;
  /** How the model is compiled. */
  readonly recipe: Recipe;
  /** Most bytes of the smallest model with its graph. Attention, embedding, head and floats get the bits that fit. */
  readonly targetBytes?: number;
  /** Calibration text. */
  readonly text?: TextOptions;
  /** Where the text comes from, for the manifest. */
  readonly textSource?: string;
  /** Folders of captured statistics. They are added and replace text in the solver. */
  readonly statistics?: readonly string[];
  /** Worker threads. Results are the same for any number. */
  readonly threads: number;
  /** Bytes of memory to plan for. */
  readonly memoryBytes: number;
  /** Random seed. The same seed and input give the same bytes. */
  readonly seed: number;
  /** Parts of the calibration text whose statistics are captured apart and added up in order: at most one for each of its batches. */
  readonly shards: number;
  /** Write self-contained models, one per precision, instead of the nested set. */
  readonly standalone: boolean;
  /** Fail when something in scope stays float. */
  readonly strict: boolean;
  /** Folder of results that a later run may reuse. */
  readonly work?: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
  /** An in-toto statement to write: where the files come from. */
  readonly provenance?: string;
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

/** What `compile` wrote, as `matquant compile --json` prints it. */
export interface CompileResult {
  /** The model and what belongs to it. */
  readonly model: ModelFolder;
  /** Folder of the set. */
  readonly output: string;
  /** The recipe with all defaults, fitted to `targetBytes` if that was given. */
  readonly recipe: Recipe;
  /** Written files, with their sizes in bytes. */
  readonly files: readonly { readonly path: string; readonly bytes: number }[];
  /** The models of the set, one per precision. */
  readonly precisions: readonly CompiledPrecision[];
  /** Number of quantized projections. */
  readonly quantized: number;
  /** Projections and tensors that stay float, with a code of `REFUSALS` and a reason. */
  readonly refused: readonly Refusal[];
  /** Shape, errors and code histograms of each projection. */
  readonly projections: readonly ProjectionReport[];
  /** Embedding and head, where they were quantized. */
  readonly tables: readonly TableReport[];
  /** Precisions whose tables were distilled. */
  readonly distilled: readonly CompiledDistillation[];
  /** How much text there was and how much the widest projection needs; undefined without text. */
  readonly calibrationTokens: number;
  /** What the text has beside what the widest projection needs; undefined where nothing was learnt from text. */
  readonly calibration: TextEvidence | undefined;
  /** Wall time. */
  readonly seconds: number;
  /** Wall time of each stage in seconds. */
  readonly stages: Readonly<Record<string, number>>;
  /** Largest resident memory of the process so far. */
  readonly peakMemoryBytes: number;
}

/** What `compile` takes. Model and output are enough: without text the recipe is then `data-free`, with text `best`. */
export type CompileInput = RecipeTaking<
  Omit<CompileOptions, 'text' | 'output' | 'folder' | 'textSource'>,
  'threads' | 'memoryBytes' | 'seed' | 'shards' | 'standalone' | 'strict'
> &
  Pick<AskedInputs, 'file' | 'hub'> & { readonly output?: string | undefined; readonly text?: TextInput | undefined };

/** Options that were checked, and the file name stem of the set. */
export interface Asked {
  readonly options: CompileOptions;
  readonly stem: string;
}

/** Checks every file that may be written or removed. Fails with `bad-usage` where a name is not valid. */
export function askedOf(options: CompileOptions): Asked {
  const { work } = options;
  const stem = stemOf(options);
  guardOutputs(outputsOf(options, stem));
  if (work !== undefined) openWorkFolder(work);
  return { options, stem };
}

/** The file name stem of a set. Fails with `bad-usage` where it cannot begin the names of files. */
export const stemOf = ({ model, name }: Pick<CompileOptions, 'model' | 'name'>): string =>
  requireName(name ?? basename(model).replace(/\.onnx$/i, ''), name === undefined ? model : 'name');

/** What a compilation reads, and every file that it may write or remove. */
function outputsOf(options: CompileOptions, stem: string): OutputCheck {
  const { model, output, recipe, text, statistics = [], standalone, work, overwrite, provenance } = options;
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
    ...(provenance === undefined ? [] : [{ path: provenance, kind: 'provenance' } as const]),
  ];
  const own = standalone ? {} : { own: at(`${stem}.json`) };
  const read = { models: [model], inputs: textFiles(text), inputFolders: statistics };
  return { ...read, files, folders: [output, work], ...own, overwrite };
}
