/** A plan opened by a worker: the model and the text are here, and are those that the plan was made for. */
import { join } from 'node:path';
import { type CompileOptions, reopen, stemOf, withCompileOptions } from '../compile/index.js';
import { fail } from '../diagnostics.js';
import type { InputWatch } from '../files/input-watch.js';
import type { Machine } from '../files/machine.js';
import type { Context } from '../log.js';
import { filesOfModel } from '../onnx/convert/import.js';
import type { Source } from '../source/index.js';
import { inputFiles, withInputs } from '../source/index.js';
import { requireVersion } from './made-by.js';
import { optionsHere } from './plan-file.js';
import type { Plan, PlannedFile } from './plan-types.js';
import type { PlanStore } from './store/plan-store.js';
import { UnitRunner } from './unit-runner.js';

/** The machine that units run on. */
export interface UnitMachine {
  /** Worker threads; all processors by default. Results are the same for any number. */
  readonly threads?: number | undefined;
  /** Bytes of memory that a unit may take; by default what the plan was made for. */
  readonly memoryBytes?: number | undefined;
  /**
   * Where temporary folders are made; the plan's work folder by default. Of a plan on an object store, what is downloaded too; by default
   * a folder in the user's cache.
   */
  readonly workDir?: string | undefined;
}

/** A plan whose units can be run in this process. */
export interface OpenPlan {
  readonly store: PlanStore;
  readonly machine: Machine;
  readonly runner: UnitRunner;
  /** Fails with `input-changed` unless model and text are still those that the plan was made for, and the plan is still in its place. */
  check(): Promise<void>;
}

/**
 * Opens the model and the text of a plan and does `work` with them. Fails with `plan-version` where another version made the plan, and
 * with `input-changed` where the model or the text is another.
 */
export async function withPlan<T>(
  store: PlanStore,
  machine: UnitMachine,
  context: Context,
  work: (opened: OpenPlan) => Promise<T>,
): Promise<T> {
  const { plan, folder } = store;
  requireVersion(plan, store.address);
  await store.bringInputs();
  const { memoryBytes = plan.options.memoryBytes } = machine;
  const threads = machine.threads === undefined ? {} : { threads: machine.threads };
  const { for: _, ...planned } = optionsHere(plan, folder);
  const asked = { ...planned, work: store.work, ...threads };
  return withCompileOptions(asked, context, (options) =>
    withInputs(filesRead(options), async (inputs) => {
      const job = reopen({ options, stem: stemOf(options) }, inputs, context);
      const own: Machine = {
        ...job.machine,
        memoryBytes: Math.min(memoryBytes, plan.options.memoryBytes),
        temporary: store.temporary,
      };
      const runner = new UnitRunner({ ...job, machine: own }, plan);
      const check = async (): Promise<void> => {
        await requireSamePlan(store);
        await checkInputs(plan, inputs, options, job.source);
      };
      await check();
      try {
        return await work({ store, machine: { ...own, memoryBytes }, runner, check });
      } finally {
        await runner.close();
      }
    }),
  );
}

/** Files that are read before the model is known, and the indices of given statistics. */
export const filesRead = ({ model, text, statistics = [] }: CompileOptions): readonly string[] => [
  ...inputFiles(model, text),
  ...statistics.map((folder) => join(folder, 'statistics.json')),
];

/** The digests of all files that are read, in their order. */
export async function inputsOf(
  inputs: InputWatch,
  options: CompileOptions,
  source: Source,
): Promise<readonly PlannedFile[]> {
  return inputs.digests([...new Set([...filesRead(options), ...filesOfModel(source.model)])]);
}

/** A place that was given to another plan meanwhile must not get results of this one: units of both may have the same ids. */
async function requireSamePlan(store: PlanStore): Promise<void> {
  if (!(await store.isCurrent()))
    fail('input-changed', `${store.address}/plan.json`, 'The plan was replaced while a worker was running');
}

/** Fails with `input-changed` unless model, text and statistics are those that the plan was made for. */
export async function checkInputs(
  plan: Plan,
  inputs: InputWatch,
  options: CompileOptions,
  source: Source,
): Promise<void> {
  for (const path of filesRead(options)) inputs.add(path);
  await inputs.check();
  const found = await inputsOf(inputs, options, source);
  const differs = found.find(({ sha256 }, at) => sha256 !== plan.inputs[at]?.sha256);
  if (differs !== undefined || found.length !== plan.inputs.length)
    fail('input-changed', differs?.path ?? options.model, 'The file is not the one that the plan was made for');
}
