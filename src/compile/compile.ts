/** The road from a float export to the nested set, or to one self-contained model per precision. */
import { readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { requireName } from '../files/file-names.js';
import type { InputWatch } from '../files/input-watch.js';
import { namesIn } from '../files/listed-files.js';
import { stagedFolder } from '../files/staging.js';
import { openWorkFolder } from '../files/work-folder.js';
import { type Context, silentContext } from '../log.js';
import { calibratedRecipeOf, checkOptions, type RecipeTaking } from '../options/index.js';
import { guardOutputs, type Output, type OutputCheck } from '../outputs/index.js';
import type { Recipe } from '../recipe/index.js';
import { type CompiledDistillation, graphName, publish, type Refusal, slice, stemOfData } from '../set/index.js';
import { measure, requireMemory, type TableReport, type TextEvidence } from '../solve/index.js';
import {
  inputFiles,
  openSource,
  requireComplete,
  requireFeedable,
  requireFfn,
  requireFinite,
  watchModel,
  withInputs,
} from '../source/index.js';
import { textFiles } from '../text/index.js';
import { Clock } from './clock.js';
import {
  type Compilation,
  type CompiledPrecision,
  type CompileOptions,
  checkFolder,
  type WrittenFolder,
  writeSet,
} from './compile-set.js';
import type { ProjectionReport } from './projection-report.js';
import { requireTarget } from './target.js';
import { fitRest } from './target-size.js';

export type { CompiledPrecision, CompileOptions } from './compile-set.js';

/** What `compile` wrote, as `matquant compile --json` prints it. */
export interface CompileResult {
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
  CompileOptions,
  'threads' | 'memoryBytes' | 'seed' | 'standalone' | 'strict' | 'text'
>;

/**
 * Compiles `input.model` into a set in `input.output`. Nothing is written there unless all of it succeeds. Fails with `bad-usage`
 * where an option is not valid, or where the recipe needs text and there is none.
 */
export async function compile(input: CompileInput, context: Context = silentContext()): Promise<CompileResult> {
  const checked = checkOptions<CompileOptions>('compile', input);
  const asked = { ...checked, recipe: calibratedRecipeOf(checked) };
  const { model, name } = asked;
  const stem = requireName(name ?? basename(model).replace(/\.onnx$/i, ''), name === undefined ? model : 'name');
  guardOutputs(outputsOf(asked, stem));
  if (asked.work !== undefined) openWorkFolder(asked.work);
  return withInputs(inputFiles(model, asked.text), (inputs) => compileInputs(asked, stem, inputs, context));
}

async function compileInputs(
  asked: CompileOptions,
  stem: string,
  inputs: InputWatch,
  context: Context,
): Promise<CompileResult> {
  const clock = new Clock();
  const { source, recipe } = fitRest(openSource(asked.model, asked.recipe), asked.recipe, asked.targetBytes);
  watchModel(inputs, source.model);
  const options = { ...asked, recipe };
  requireTarget(source, recipe, context);
  requireFfn(source);
  requireFeedable(source);
  if (options.strict) requireComplete(source, recipe);
  requireMemory(source, recipe, asked.memoryBytes);
  requireFinite(source, context);
  clock.lap('read');
  const measured = await measure(source, options, context);
  clock.lap('capture');
  const job: Compilation = { source, inputs, measured, options, stem, context, clock };
  const write = async (folder: string): Promise<CompileResult> => {
    const set = await (options.standalone ? writeModels(folder, job) : writeSet(folder, job));
    const result = resultOf(set, folder, job);
    await inputs.check();
    return result;
  };
  const { output: folder, standalone } = options;
  return publish({ folder, stem, bits: recipe.bits, standalone }, write).finally(measured.close);
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

/** Writes the set into a folder inside, and cuts it into models. */
async function writeModels(folder: string, job: Compilation): Promise<WrittenFolder> {
  const { stem, context, clock } = job;
  const inside = join(folder, 'set');
  const written = await stagedFolder(inside, (staging) => writeSet(staging, job), [`${stem}.json`]);
  const set = join(inside, `${stem}.json`);
  const models: (CompiledPrecision & { readonly name: string; readonly file: string })[] = [];
  for (const precision of written.precisions) {
    const name = `int${precision.bits}`;
    const file = `${stem}_${name}.onnx`;
    const asked = { set, bits: precision.bits, output: join(folder, file), standalone: true, slice: 'prefix' } as const;
    const { files, storedBitsPerWeight } = await slice(asked, context);
    const bytes = files.reduce((sum, { path }) => sum + statSync(path).size, 0);
    const dataBytes = bytes - statSync(join(folder, file)).size;
    models.push({ ...precision, name, file, bytes, dataBytes, storedBitsPerWeight });
  }
  renameSync(join(inside, `${stem}.report.json`), join(folder, `${stem}.report.json`));
  rmSync(inside, { recursive: true });
  clock.lap('models');
  const quality = await checkFolder(folder, models, job);
  const precisions = models.map(({ name, file: _, ...precision }) => {
    const probe = quality[name];
    return probe === undefined ? precision : { ...precision, probe };
  });
  return { ...written, precisions };
}

function resultOf(
  set: WrittenFolder,
  folder: string,
  { options, measured, clock, source }: Compilation,
): CompileResult {
  const { precisions, projections, tables, distilled } = set;
  const files = readdirSync(folder).map((name) => ({ name, bytes: statSync(join(folder, name)).size }));
  return {
    recipe: options.recipe,
    files: files.map(({ name, bytes }) => ({ path: join(options.output, name), bytes })),
    precisions,
    quantized: projections.length,
    refused: source.left.map(({ at, code, reason }) => ({ at, code, reason })),
    projections,
    tables,
    distilled,
    calibrationTokens: measured.tokens,
    calibration: measured.evidence,
    seconds: Object.values(clock.stages).reduce((sum, each) => sum + each, 0),
    stages: clock.stages,
    peakMemoryBytes: 1024 * process.resourceUsage().maxRSS,
  };
}
