/** The road from a float export to the nested set, or to one self-contained model per precision. */
import { type Context, silentContext } from '../log.js';
import { calibratedRecipeOf, checkOptions } from '../options/index.js';
import { publish } from '../set/index.js';
import { type Measured, measure } from '../solve/index.js';
import {
  type AskedInputs,
  defaultOutput,
  inputFiles,
  warnOfLicence,
  withInputs,
  withResolved,
} from '../source/index.js';
import { check } from './check-set.js';
import { askedOf, type CompileInput, type CompileOptions, type CompileResult } from './compile-options.js';
import { type Job, open } from './open.js';
import { type Facts, factsOf, resultOf, seal } from './seal.js';
import { prepare, solve, train } from './solve-stage.js';
import { StagingFolder } from './staging-folder.js';
import { writeStatement } from './statement.js';
import { type Written, write } from './write.js';

export type { CompiledPrecision, CompileInput, CompileOptions, CompileResult } from './compile-options.js';

/**
 * Compiles `input.model` into a set in `input.output`. Nothing is written there unless all of it succeeds. Fails with `bad-usage`
 * where an option is not valid, or where the recipe needs text and there is none.
 */
export const compile = (input: CompileInput, context: Context = silentContext()): Promise<CompileResult> =>
  withCompileOptions(input, context, (options) => compileFiles(options, context));

/** Does `work` with checked options whose model and text are files; text that was made for it is removed afterwards. */
export async function withCompileOptions<T>(
  input: CompileInput,
  context: Context,
  work: (options: CompileOptions) => Promise<T>,
): Promise<T> {
  const { file, hub, text, ...checked } = checkOptions<CompileOptions & AskedInputs>('compile', input);
  const recipe = calibratedRecipeOf({ ...checked, text });
  const { model, output = defaultOutput(model), seed, threads } = checked;
  const need = { part: 'calibration', ...recipe } as const;
  return withResolved(model, { file, hub, text, seed, threads }, need, context, ({ folder, ...resolved }) => {
    warnOfLicence(folder, context);
    return work({ ...checked, ...resolved, folder, model: folder.graph, output, recipe });
  });
}

/** Compiles a model whose files and text are here. `accept` is asked before anything is computed, and may throw. */
export function compileFiles(
  options: CompileOptions,
  context: Context,
  accept: (job: Job) => Promise<void> = async () => undefined,
): Promise<CompileResult> {
  const asked = askedOf(options);
  const startedOn = new Date();
  return withInputs(inputFiles(options.model, options.text), async (inputs) => {
    const job = open(asked, inputs, context);
    await accept(job);
    const measured = await measure(job.source, { ...job.options, machine: job.machine }, context);
    job.clock.lap('capture');
    const { output: folder, standalone, recipe } = job.options;
    const target = { folder, stem: job.stem, bits: recipe.bits, standalone };
    const result = await publish(target, (staged) => make(staged, job, measured)).finally(measured.close);
    const { provenance } = options;
    if (provenance !== undefined) {
      const { files } = result;
      await writeStatement(provenance, { job, files, startedOn, finishedOn: new Date() });
    }
    return result;
  });
}

/** From statistics to a folder of models that were checked. */
async function make(folder: string, job: Job, measured: Measured): Promise<CompileResult> {
  const staging = new StagingFolder(folder);
  const { written, facts } = await solveAndWrite(staging, job, measured).finally(() => staging.close());
  const quality = await check(folder, job, written.models, measured.probe);
  await seal(folder, job, written, { measured, quality, facts });
  await job.inputs.check();
  return resultOf(folder, job, written, { measured, quality, facts });
}

async function solveAndWrite(
  staging: StagingFolder,
  job: Job,
  measured: Measured,
): Promise<{ readonly written: Written; readonly facts: Facts }> {
  const prepared = await prepare(job, measured, staging);
  const solving = solve(job, measured, prepared);
  const learned = await train(job, measured, prepared, solving.projections, staging);
  const written = await write(staging, job, prepared.template, learned.projections);
  return { written, facts: factsOf(prepared, solving, learned) };
}
