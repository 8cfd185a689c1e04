/** Merges a plan: an ordinary compilation over the work folder of its units, which finds everything done. */
import { type CompileResult, compileFiles, withCompileOptions } from '../compile/index.js';
import { fail } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import { checkOptions } from '../options/index.js';
import { requireVersion } from './made-by.js';
import { checkInputs, type UnitMachine, workFolderOf } from './open-plan.js';
import { optionsHere, readPlan } from './plan-file.js';
import type { Plan } from './plan-types.js';
import { Results } from './results.js';
import { unitsToRun } from './share.js';
import { surveyOf } from './survey.js';

/** What `mergePlan` takes. */
export interface MergePlanInput extends Pick<UnitMachine, 'threads'> {
  /** Folder of the plan. */
  readonly plan: string;
  /** Folder of the set; by default as of `compile`. */
  readonly output?: string | undefined;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean | undefined;
  /** An in-toto statement to write: where the files come from. */
  readonly provenance?: string | undefined;
}

/** What is there of it: an option that is undefined was not given. */
interface MergePlanOptions {
  readonly plan: string;
  readonly output?: string;
  readonly threads: number;
  readonly overwrite?: boolean;
  readonly provenance?: string;
}

/**
 * Writes the set of a plan whose units are done: the bytes are those that `compile` writes with the same options. Results that turn out
 * damaged are made again, and that is said. Fails with `plan-open` while units are not done, like opening the plan does, and like `compile`.
 */
export async function mergePlan(input: MergePlanInput, context: Context = silentContext()): Promise<CompileResult> {
  const { plan: folder, ...own } = checkOptions<MergePlanOptions>('merge', input);
  const plan = readPlan(folder);
  requireVersion(plan, folder);
  const kept = workFolderOf(folder, plan);
  requireDone(folder, plan, new Results(folder, kept, context.log));
  return withCompileOptions({ ...optionsHere(plan, folder), ...own, work: kept }, context, (options) => {
    const { textSource = options.textSource } = plan;
    const asked = { ...options, ...(textSource !== undefined && { textSource }) };
    return compileFiles(asked, context, ({ inputs, source }) => checkInputs(plan, inputs, asked, source));
  });
}

/** Error code `plan-open` with the first unit that is not done. */
function requireDone(folder: string, plan: Plan, results: Results): void {
  const units = unitsToRun(plan);
  const open = surveyOf(folder, units, results).filter(({ state }) => state !== 'done');
  const first = open.find(({ state }) => state === 'failed') ?? open[0];
  if (first === undefined) return;
  const failure = first.failures.at(-1);
  const why = failure === undefined ? '' : `, which failed: ${failure.message}`;
  fail(
    'plan-open',
    folder,
    `${open.length} of ${units.length} units are not done, the first is ${first.unit.id}${why}`,
  );
}
