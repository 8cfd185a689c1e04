/** Makes a plan: the model and the text are read, and everything that `compile` asks of them is asked. */
import { copyFileSync, existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
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
import { staged } from '../files/staging.js';
import { type Context, silentContext } from '../log.js';
import { calibratedRecipeOf, checkOptions } from '../options/index.js';
import { guardOutputs } from '../outputs/index.js';
import { capturesOf } from '../solve/index.js';
import { isHubName, withInputs } from '../source/index.js';
import { type TextOptions, textFiles } from '../text/index.js';
import { madeBy } from './made-by.js';
import { filesRead, inputsOf } from './open-plan.js';
import { mapText, planPath, planText, portable, writePlan } from './plan-file.js';
import type { Plan, PlannedOptions, PlanUnit } from './plan-types.js';
import { unitsOf } from './units.js';

/** What `plan` takes: the options of `compile`, with the plan's folder as `output`. */
export type PlanInput = Omit<CompileInput, 'output' | 'provenance'> & { readonly output: string };

/** A plan that was made. */
export interface PlanResult {
  /** Folder of the plan. */
  readonly folder: string;
  /** Shards of the text, which are fewer than asked for where the text has fewer batches. */
  readonly shards: number;
  readonly units: readonly PlanUnit[];
  /** Memory of the largest unit that workers run: one with less leaves it to others. */
  readonly memoryBytes: number;
}

/**
 * Writes a plan for `input.model` into the folder `input.output`. The same input gives the same plan; the folder of another plan is
 * refused with `output-exists` unless `overwrite` is set. Fails like `compile` does before it computes anything, with `memory-bound` and
 * the least that works where the largest unit takes more than `memoryBytes`.
 */
export async function plan(input: PlanInput, context: Context = silentContext()): Promise<PlanResult> {
  const { output: folder, ...asked } = checkOptions<PlanInput>('plan', input);
  return withCompileOptions(asked, context, (options) => {
    guardPlan(folder, options);
    return withInputs(filesRead(options), async (inputs) => {
      const job = open({ options, stem: stemOf(options) }, inputs, context);
      const made = await planOf(folder, asked, job, context);
      await inputs.check();
      const isSelf = options.textSource === 'self';
      save(folder, made, isSelf ? options.text : undefined, options.overwrite ?? false);
      const { units } = made;
      const shards = units.filter(({ kind }) => kind === 'capture').length;
      const needs = units.map(({ kind, memoryBytes }) => (kind === 'emit' ? 0 : memoryBytes));
      return { folder, shards, units, memoryBytes: Math.max(...needs) };
    });
  });
}

/** Text that a model wrote for the plan is kept with it. */
const SELF_TEXT = 'text.jsonl';

type Asked = Omit<PlanInput, 'output'>;

/** The plan of a model that was opened and has passed every question. */
async function planOf(
  folder: string,
  asked: Asked,
  { source, machine, options, inputs }: Job,
  context: Context,
): Promise<Plan> {
  const model = digestOfModel(source.model);
  const captures = await capturesOf(source, { ...options, machine, modelDigest: model }, context);
  const isSelf = options.textSource === 'self';
  const [own] = isSelf ? textFiles(options.text) : [];
  const read = await inputsOf(inputs, options, source);
  return {
    format: 'matquant-plan',
    version: 1,
    ...madeBy(),
    options: plannedOptions(folder, asked, options),
    ...(isSelf && { textSource: 'self' }),
    work: options.work === undefined ? 'work' : portable(options.work, folder),
    model,
    inputs: read.map((file) => ({ ...file, path: file.path === own ? SELF_TEXT : portable(file.path, folder) })),
    units: unitsOf({ source, recipe: options.recipe, captures, memoryBytes: options.memoryBytes }),
  };
}

/** Options as they were asked for, with paths that hold on other machines, and with the recipe and all defaults. */
function plannedOptions(folder: string, asked: Asked, options: CompileOptions): PlannedOptions {
  const at = (path: string): string => portable(path, folder);
  const { origin } = options.folder;
  const isHub = isHubName(asked.model);
  const pinned = isHub && origin !== undefined ? `hf:${origin.repo}@${origin.revision}` : asked.model;
  const text = asked.text && (options.textSource === 'self' ? { ids: SELF_TEXT } : mapText(asked.text, at));
  const { memoryBytes, seed, shards, standalone, strict } = options;
  return {
    model: isHub ? pinned : at(asked.model),
    ...(asked.file !== undefined && { file: asked.file }),
    ...(asked.name !== undefined && { name: asked.name }),
    ...(asked.targetBytes !== undefined && { targetBytes: asked.targetBytes }),
    ...(text !== undefined && { text }),
    ...(asked.statistics !== undefined && { statistics: asked.statistics.map(at) }),
    ...{ memoryBytes, seed, shards, standalone, strict },
    recipe: calibratedRecipeOf(asked),
  };
}

function guardPlan(folder: string, { model, text, statistics = [], overwrite, work }: CompileOptions): void {
  guardOutputs({
    models: [model],
    inputs: textFiles(text),
    inputFolders: statistics,
    files: [{ path: planPath(folder), kind: 'plan' }],
    folders: [folder, work],
    overwrite,
  });
}

/**
 * Writes a plan where there is none. Markers of another plan are removed, but its results stay in the work folder, where they are found
 * by their names.
 */
function save(folder: string, made: Plan, own: TextOptions | undefined, overwrite: boolean): void {
  const path = planPath(folder);
  const before = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  if (before === planText(made)) return;
  if (before !== undefined && !overwrite)
    fail(
      'output-exists',
      path,
      'There is a plan of another model, text or options: choose another folder or set `overwrite`',
    );
  for (const name of ['done', 'claims', 'failed', 'lost']) rmSync(join(folder, name), { recursive: true, force: true });
  if (own !== undefined && 'ids' in own)
    staged(join(folder, SELF_TEXT), (temporary) => copyFileSync(own.ids, temporary));
  writePlan(folder, made);
}
