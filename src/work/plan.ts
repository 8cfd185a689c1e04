/** Makes a plan: the model and the text are read, and everything that `compile` asks of them is asked. */
import { digestOfModel } from '../capture/index.js';
import {
  type CompileInput,
  type CompileOptions,
  type Job,
  open,
  stemOf,
  withCompileOptions,
} from '../compile/index.js';
import { fail } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import { calibratedRecipeOf, checkOptions } from '../options/index.js';
import { type Format, recipeFor, requirePackable } from '../package/index.js';
import { capturesOf } from '../solve/index.js';
import { isHubName, withInputs } from '../source/index.js';
import { madeBy } from './made-by.js';
import { filesRead, inputsOf } from './open-plan.js';
import { mapText } from './plan-file.js';
import type { Plan, PlannedOptions, PlanUnit } from './plan-types.js';
import { carriedFiles, selfFile } from './store/carried-files.js';
import { openTarget } from './store/open-store.js';
import type { PlanTarget } from './store/plan-store.js';
import { unitsOf } from './units.js';

/** What `plan` takes: the options of `compile`, with the plan's folder as `output`. */
export type PlanInput = Omit<CompileInput, 'output' | 'provenance'> & {
  /** Folder of the plan, or `s3://BUCKET/PREFIX`. */
  readonly output: string;
  /** Folders that others load as they are, as of `compileFor`: the merge writes them. */
  readonly for?: readonly Format[] | undefined;
};

/** A plan that was made. */
export interface PlanResult {
  /** Folder of the plan, or its address on an object store. */
  readonly folder: string;
  /** Shards of the text, which are fewer than asked for where the text has fewer batches. */
  readonly shards: number;
  readonly units: readonly PlanUnit[];
  /** Memory of the largest unit that workers run: one with less leaves it to others. */
  readonly memoryBytes: number;
}

/**
 * Writes a plan for `input.model` into the folder `input.output`, or to an object store with all files that workers need. The same input
 * gives the same plan; the place of another plan is refused with `output-exists` unless `overwrite` is set. Fails like `compile` does before
 * it computes anything, with `memory-bound` and the least that works where the largest unit takes more than `memoryBytes`, and with `store`
 * or `store-package` where an object store cannot be used.
 */
export async function plan(input: PlanInput, context: Context = silentContext()): Promise<PlanResult> {
  const { output: folder, ...given } = checkOptions<PlanInput>('plan', input);
  const asked = fittedTo(given);
  const target = await openTarget(folder);
  try {
    const { for: _, ...compiled } = asked;
    const made = await withCompileOptions(compiled, context, (options) => writtenPlan(target, asked, options, context));
    const { units } = made;
    const shards = units.filter(({ kind }) => kind === 'capture').length;
    const needs = units.map(({ kind, memoryBytes }) => (kind === 'emit' ? 0 : memoryBytes));
    return { folder, shards, units, memoryBytes: Math.max(...needs) };
  } finally {
    target.close();
  }
}

function writtenPlan(target: PlanTarget, asked: Asked, options: CompileOptions, context: Context): Promise<Plan> {
  target.guard(options);
  const { for: formats, text } = asked;
  if (formats !== undefined) requirePackable(formats, options.folder, { text, recipe: options.recipe });
  return withInputs(filesRead(options), async (inputs) => {
    const job = open({ options, stem: stemOf(options) }, inputs, context);
    const name = namesOf(target, options);
    const made = await planOf(name, asked, job, context);
    const files = target.carries ? await carriedFiles(asked, job, name) : [];
    await inputs.check();
    const own = ownText(options);
    const all = own === undefined ? files : [...files, selfFile(own, SELF_TEXT)];
    const whole = target.carries
      ? { ...made, files: all.map(({ path, bytes, sha256 }) => ({ path, bytes, sha256 })) }
      : made;
    await target.save(whole, all, options.overwrite ?? false);
    return whole;
  });
}

/** Text that a model wrote for the plan is kept with it. */
const SELF_TEXT = 'text.jsonl';

type Asked = Omit<PlanInput, 'output'>;

/** The options with the recipe of their packages. */
function fittedTo(asked: Asked): Asked {
  if (asked.for === undefined) return asked;
  if (asked.standalone)
    fail('bad-usage', 'standalone', '`for` decides itself which models are self-contained: leave out `standalone`');
  const recipe = recipeFor(asked.for, asked.recipe);
  return recipe === undefined ? asked : { ...asked, recipe };
}

/** The file of a text that the model wrote for this plan. */
const ownText = ({ text, textSource }: CompileOptions): string | undefined =>
  textSource === 'self' && text !== undefined && 'ids' in text ? text.ids : undefined;

/** What the plan calls a file of this machine. */
function namesOf(target: PlanTarget, options: CompileOptions): (path: string) => string {
  const [at, own] = [target.naming(options), ownText(options)];
  return (path) => (path === own ? SELF_TEXT : at(path));
}

/** The plan of a model that was opened and has passed every question. */
async function planOf(
  at: (path: string) => string,
  asked: Asked,
  { source, machine, options, inputs }: Job,
  context: Context,
): Promise<Plan> {
  const model = digestOfModel(source.model);
  const captures = await capturesOf(source, { ...options, machine, modelDigest: model }, context);
  const read = await inputsOf(inputs, options, source);
  return {
    format: 'matquant-plan',
    version: 1,
    ...madeBy(),
    options: plannedOptions(at, asked, options),
    ...(options.textSource === 'self' && { textSource: 'self' }),
    work: options.work === undefined ? 'work' : at(options.work),
    model,
    inputs: read.map((file) => ({ ...file, path: at(file.path) })),
    units: unitsOf({ source, recipe: options.recipe, captures, memoryBytes: options.memoryBytes }),
  };
}

/** Options as they were asked for, with paths that hold on other machines, and with the recipe and all defaults. */
function plannedOptions(at: (path: string) => string, asked: Asked, options: CompileOptions): PlannedOptions {
  const { origin } = options.folder;
  const isHub = isHubName(asked.model);
  const pinned = isHub && origin !== undefined ? `hf:${origin.repo}@${origin.revision}` : asked.model;
  const text = asked.text && (options.textSource === 'self' ? { ids: SELF_TEXT } : mapText(asked.text, at));
  const { memoryBytes, seed, shards, standalone, strict } = options;
  return {
    model: isHub ? pinned : at(asked.model),
    ...(asked.for !== undefined && { for: asked.for }),
    ...(asked.file !== undefined && { file: asked.file }),
    ...(asked.name !== undefined && { name: asked.name }),
    ...(asked.targetBytes !== undefined && { targetBytes: asked.targetBytes }),
    ...(text !== undefined && { text }),
    ...(asked.statistics !== undefined && { statistics: asked.statistics.map(at) }),
    ...{ memoryBytes, seed, shards, standalone, strict },
    recipe: calibratedRecipeOf(asked),
  };
}
