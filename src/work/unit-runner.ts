/**
 * What each kind of unit does. Results are kept in the work folder under names that depend on what they were made from, so a unit may be
 * run any number of times.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { filesOfStatistics } from '../capture/index.js';
import { type Job, type LastStage, runStages } from '../compile/index.js';
import { fail } from '../diagnostics.js';
import { keptIn, type OnKept } from '../files/machine.js';
import { temporaryFolder } from '../files/temporary.js';
import { KernelPool } from '../kernels/pool.js';
import { type Context, silentContext } from '../log.js';
import type { ProjectionPlace } from '../quant/layout.js';
import { placesOf, planLayout } from '../set/index.js';
import {
  type Captured,
  type Captures,
  captureRandom,
  captureShard,
  capturesOf,
  type Measured,
  type MeasureOptions,
  measure,
  orderOfText,
  RANDOM_FOLDER,
  SolvedFiles,
  type Solver,
  shardFolder,
  solveProjections,
  solveTables,
} from '../solve/index.js';
import { tokenTablesOf } from '../source/index.js';
import type { Plan, PlanUnit, UnitKind } from './plan-types.js';

/** Runs units of one plan in this process: the model is opened once, and text and statistics when a unit wants them. */
export class UnitRunner {
  readonly #job: Job;
  readonly #plan: Plan;
  #captures: Promise<Captures> | undefined;
  #measured: Promise<Measured> | undefined;
  #pool: KernelPool | undefined;

  constructor(job: Job, plan: Plan) {
    this.#job = job;
    this.#plan = plan;
  }

  /** Makes the results of a unit, or finds them; returns their paths. */
  async run(unit: PlanUnit, context: Context): Promise<readonly string[]> {
    const kept = new Set<string>();
    await RUN[unit.kind](this, unit, { ...context, onKept: (path) => kept.add(path) });
    return [...kept];
  }

  async close(): Promise<void> {
    await this.#pool?.close();
  }

  get job(): Job {
    return this.#job;
  }

  /** Text and what is captured of it. What is to say of it was said when the plan was made. */
  captures(): Promise<Captures> {
    this.#captures ??= capturesOf(this.#job.source, this.options, silentContext());
    return this.#captures.catch((error: unknown) => {
      this.#captures = undefined;
      throw error;
    });
  }

  /** The statistics of all shards. Error codes `statistics` and `damaged-file` where they are not there. */
  async measured(): Promise<Measured> {
    const calibration = await this.captures();
    this.#measured ??= measure(this.#job.source, { ...this.options, calibration, kept: true }, silentContext());
    return this.#measured.catch((error: unknown) => {
      this.#measured = undefined;
      throw error;
    });
  }

  /** What solving needs; results are told to `onKept`. */
  async solver({ onKept, ...context }: UnitContext): Promise<Solver> {
    const { recipe, statistics } = await this.measured();
    const { machine } = this.#job;
    this.#pool ??= new KernelPool(machine.threads);
    const files = new SolvedFiles(keptIn(machine, 'solved'), context.log, onKept);
    return { recipe, statistics, pool: this.#pool, files, context };
  }

  /** What measuring is told. */
  get options(): MeasureOptions {
    const { options, machine } = this.#job;
    return { ...options, machine, modelDigest: this.#plan.model };
  }
}

/** A context that is told of results. */
interface UnitContext extends Context {
  readonly onKept: OnKept;
}

type Run = (runner: UnitRunner, unit: PlanUnit, context: UnitContext) => Promise<void>;

const RUN: Readonly<Record<UnitKind, Run>> = {
  capture: async (runner, { of }, context) => {
    const captures = await runner.captures();
    const at = (of.shard ?? 1) - 1;
    const { source } = runner.job;
    const captured = await captureShard(source, captures, at, runner.options, context);
    keepStatistics(runner, captured, shardFolder(at, captures.shards.length), context);
  },
  random: async (runner, unit, context) => {
    const { random, projections } = await runner.captures();
    if (random === undefined) return fail('plan', unit.id, 'The text is not filled up with random token ids');
    const captured = await captureRandom(runner.job.source, random, projections, runner.options, context);
    keepStatistics(runner, captured, RANDOM_FOLDER, context);
  },
  solve: async (runner, { of }, context) => {
    const solver = await runner.solver(context);
    const { source, options } = runner.job;
    const chosen = source.chosen.filter(({ projection }) => projection.group === of.group);
    const places = placesOf(planLayout(source, options.recipe));
    const placeOf = (id: string): ProjectionPlace => places.get(id) ?? fail('plan', id, 'There is no such projection');
    for await (const _ of solveProjections(chosen, placeOf, solver)) context.signal.throwIfAborted();
  },
  table: async (runner, { of }, context) => {
    const { job } = runner;
    const { source, options } = job;
    if (!tokenTablesOf(source.analysis).some(({ name }) => name === of.table))
      return fail('plan', String(of.table), 'The model has no such table');
    const solver = await runner.solver(context);
    const folder = temporaryFolder('tables', job.machine.temporary);
    try {
      const work = { ...solver, order: orderOfText(source, options), only: of.table };
      (await solveTables(source, join(folder, 'codes'), work)).close();
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
  train: (runner, _, context) => runTo('solve', runner, context),
  prefix: (runner, _, context) => runTo('solve', runner, context),
  tune: (runner, _, context) => runTo('train', runner, context),
  distill: (runner, _, context) => runTo('train', runner, context),
  emit: async (_, unit) => fail('bad-usage', unit.id, 'The set is written by `matquant merge`'),
};

function keepStatistics({ job }: UnitRunner, captured: Captured, name: string, { onKept }: UnitContext): void {
  captured.close();
  for (const path of filesOfStatistics(keptIn(job.machine, name) as string)) onKept(path);
}

/** Distillation decides by memory how it goes through a model, so it gets as much as the plan says. */
async function runTo(last: LastStage, runner: UnitRunner, context: UnitContext): Promise<void> {
  const { job } = runner;
  const { onKept, ...plain } = context;
  const distils = last === 'train' && job.options.recipe.distill !== undefined;
  const { memoryBytes } = distils ? job.options : job.machine;
  const machine = { ...job.machine, memoryBytes, onKept };
  await runStages({ ...job, machine, context: plain }, await runner.measured(), last);
}
