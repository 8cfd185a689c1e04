/** Chooses a mix for a goal and writes it; for a target size until what is written fits. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { bitsOfMix } from '../quant/layout-use.js';
import { guardSetOutput, type OpenTemplate, type Selection, stemOf } from '../set/index.js';
import type { BitsTable } from './bits-file.js';
import type { GoalPlan, SearchedGoal } from './mix-goal.js';
import { type MixFiles, writeMix } from './mix-output.js';
import type { Chosen, MixChooser } from './mix-search.js';
import type { Shape } from './search/shapes.js';

/** What is to be written, and where. */
export interface FitOptions {
  readonly goal: SearchedGoal;
  readonly plan: GoalPlan;
  readonly name: string;
  readonly shape: Shape | undefined;
  readonly output?: string;
  readonly standalone: boolean;
  readonly overwrite?: boolean;
}

/** Attempts to bring a size to its target once the true size of graph and padding is known. */
const ATTEMPTS = 4;
/** A file this much smaller than the target is filled up. */
const SLACK = 0.002;

/** A mix that was written. */
interface Fitted {
  readonly chosen: Chosen;
  readonly files: MixFiles;
}

/** Chooses and writes; for a target size until what is written fits it from below. */
export async function fitGoal(
  open: OpenTemplate,
  chooser: MixChooser,
  options: FitOptions,
  context: Context,
): Promise<Fitted> {
  const { plan, name } = options;
  const fit = async (budget: number): Promise<Fitted> => {
    context.signal.throwIfAborted();
    const chosen = await choose(chooser, options, budget);
    return { chosen, files: writeTable(open, name, chosen.table, options) };
  };
  const { targetBytes } = plan;
  if (targetBytes === undefined) return fit(plan.budget);
  const { best, last } = await fitSize(targetBytes, plan.budget, chooser.range[0], fit);
  if (best === undefined) {
    for (const { path } of last.files.files) rmSync(path, { force: true });
    return tooSmall(plan, last.files.totalBytes);
  }
  if (best === last) return best;
  // The last attempt may have been too large: what stays on disk is what is reported.
  return { chosen: best.chosen, files: writeTable(open, name, best.chosen.table, options) };
}

/** The largest mix that fits a size, if any, and the last one that was written. `least` is the cost of the cheapest mix. */
async function fitSize(
  target: number,
  start: number,
  least: number,
  fit: (budget: number) => Promise<Fitted>,
): Promise<{ readonly best: Fitted | undefined; readonly last: Fitted }> {
  let best: Fitted | undefined;
  let budget = start;
  for (let attempt = 1; ; attempt++) {
    const last = await fit(budget);
    const { totalBytes } = last.files;
    const left = target - totalBytes;
    if (left >= 0 && totalBytes > (best?.files.totalBytes ?? -1)) best = last;
    const next = last.chosen.cost + left;
    const isFull = left >= 0 && (left < SLACK * target || next <= budget + 1);
    const isLeast = left < 0 && last.chosen.cost <= least;
    if (isFull || isLeast || attempt === ATTEMPTS) return { best, last };
    budget = next;
  }
}

async function choose(chooser: MixChooser, { goal, shape, plan }: FitOptions, budget: number): Promise<Chosen> {
  if ('maxKl' in goal) {
    if (shape !== undefined) fail('bad-usage', 'search.shape', 'A shape needs `averageBits` or `targetBytes`');
    const found = await chooser.under(goal.maxKl);
    return found ?? fail('bad-usage', 'goal.maxKl', `No mix of the set has a KL of at most ${goal.maxKl}`);
  }
  const [least] = chooser.range;
  // What a graph takes is known once it is written, so a size is refused only where that of the smallest mix is known to be larger.
  const enough = plan.targetBytes === undefined ? budget : Math.max(budget, least);
  const found = await (shape === undefined ? chooser.within(enough) : chooser.shaped(shape, enough));
  return found ?? tooSmall(plan, least);
}

function tooSmall({ option, show }: GoalPlan, least: number): never {
  return fail('bad-usage', option, `The smallest mix takes ${show(least)}`);
}

export function writeTable(
  open: OpenTemplate,
  name: string,
  table: BitsTable,
  options: Pick<FitOptions, 'output' | 'standalone' | 'overwrite'>,
): MixFiles {
  const { set } = open;
  const selection: Selection = { name, bits: table, bitsOf: bitsOfMix(open.layout, table) };
  const found = join(set.folder, `${stemOf(set)}_${name}.onnx`);
  const { output = found, standalone, overwrite } = options;
  if (options.output === undefined)
    guardSetOutput({ set: set.path, output, form: standalone ? 'pair' : 'set', overwrite });
  return writeMix(open, selection, output, standalone);
}
