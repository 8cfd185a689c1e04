/** Merges a plan: an ordinary compilation over the work folder of its units, which finds everything done. */
import { basename } from 'node:path';
import { type CompileInput, type CompileResult, compileFiles, withCompileOptions } from '../compile/index.js';
import { fail } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import { checkOptions } from '../options/index.js';
import { packageWith } from '../package/index.js';
import { defaultOutput, isHubName } from '../source/index.js';
import { requireVersion } from './made-by.js';
import { checkInputs, type UnitMachine } from './open-plan.js';
import { optionsHere } from './plan-file.js';
import type { Plan } from './plan-types.js';
import { unitsToRun } from './share.js';
import { isStoreAddress, openStore } from './store/open-store.js';
import type { PlanStore } from './store/plan-store.js';
import { surveyOf } from './survey.js';

/** What `mergePlan` takes. */
export interface MergePlanInput extends Pick<UnitMachine, 'threads' | 'workDir'> {
  /** Folder of the plan, or `s3://BUCKET/PREFIX`. */
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
  readonly workDir?: string;
  readonly overwrite?: boolean;
  readonly provenance?: string;
}

/**
 * Writes the set of a plan whose units are done, and the packages that it was made `for`: the bytes are those that `compile` and
 * `compileFor` write with the same options. Results that turn out
 * damaged are made again, and that is said. Fails with `plan-open` while units are not done, like opening the plan does, and like `compile`.
 */
export async function mergePlan(input: MergePlanInput, context: Context = silentContext()): Promise<CompileResult> {
  const { plan: address, workDir, ...own } = checkOptions<MergePlanOptions>('merge', input);
  const store = await openStore(address, { log: context.log, workDir });
  try {
    return await mergeStored(store, own, context);
  } finally {
    await store.close();
  }
}

async function mergeStored(
  store: PlanStore,
  own: Omit<MergePlanOptions, 'plan' | 'workDir'>,
  context: Context,
): Promise<CompileResult> {
  const { plan, folder, work, address } = store;
  requireVersion(plan, address);
  await requireDone(store);
  await store.bringInputs();
  const { for: formats, ...options } = optionsHere(plan, folder);
  // A set beside files that were downloaded would not be found.
  const output = isStoreAddress(address)
    ? { output: defaultOutput(isHubName(options.model) ? options.model : basename(options.model)) }
    : {};
  const input = { ...options, ...output, ...own, work };
  const compileSet = (asked: CompileInput): Promise<CompileResult> =>
    compiled(plan, { ...asked, recipe: options.recipe }, context);
  return formats === undefined ? compileSet(input) : packageWith(compileSet, { ...input, for: formats }, context);
}

function compiled(plan: Plan, input: CompileInput, context: Context): Promise<CompileResult> {
  return withCompileOptions(input, context, (options) => {
    const { textSource = options.textSource } = plan;
    const asked = { ...options, ...(textSource !== undefined && { textSource }) };
    return compileFiles(asked, context, ({ inputs, source }) => checkInputs(plan, inputs, asked, source));
  });
}

/** Brings all results. Error code `plan-open` with the first unit that is not done. */
async function requireDone(store: PlanStore): Promise<void> {
  const units = unitsToRun(store.plan);
  const isOpen = surveyOf(units, await store.look()).some(({ state }) => state !== 'done');
  if (!isOpen && (await store.bring(units.map(({ id }) => id))) === undefined) return;
  const open = surveyOf(units, await store.look()).filter(({ state }) => state !== 'done');
  const first = open.find(({ state }) => state === 'failed') ?? open[0];
  if (first === undefined) return;
  const failure = first.failures.at(-1);
  const why = failure === undefined ? '' : `, which failed: ${failure.message}`;
  fail(
    'plan-open',
    store.address,
    `${open.length} of ${units.length} units are not done, the first is ${first.unit.id}${why}`,
  );
}
