/** Chooses a mix for a goal and writes it; for a target size until what is written fits. */
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

/** Chooses and writes; for a target size until what is written fits it from below. */
export async function fitGoal(
  open: OpenTemplate,
  chooser: MixChooser,
  options: FitOptions,
  context: Context,
): Promise<{ chosen: Chosen; files: MixFiles }> {
  const { plan, name } = options;
  let budget = plan.budget;
  let best: { chosen: Chosen; files: MixFiles } | undefined;
  let onDisk: Chosen | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    context.signal.throwIfAborted();
    const chosen = await choose(chooser, options, budget);
    const files = writeTable(open, name, chosen.table, options);
    if (plan.targetBytes === undefined) return { chosen, files };
    onDisk = chosen;
    least = Math.min(least, files.totalBytes);
    const left = plan.targetBytes - files.totalBytes;
    if (left >= 0 && (best === undefined || files.totalBytes > best.files.totalBytes)) best = { chosen, files };
    const next = chosen.cost + left;
    if (left >= 0 && (left < SLACK * plan.targetBytes || next <= budget + 1)) break;
    budget = next;
  }
  if (best === undefined) return tooSmall(plan, least);
  if (best.chosen === onDisk) return best;
  // The last attempt may have been too large: what stays on disk is what is reported.
  return { chosen: best.chosen, files: writeTable(open, name, best.chosen.table, options) };
}

async function choose(chooser: MixChooser, { goal, shape, plan }: FitOptions, budget: number): Promise<Chosen> {
  if ('maxKl' in goal) {
    if (shape !== undefined) fail('bad-usage', 'search.shape', 'A shape needs `averageBits` or `targetBytes`');
    const found = await chooser.under(goal.maxKl);
    return found ?? fail('bad-usage', 'goal.maxKl', `No mix of the set has a KL of at most ${goal.maxKl}`);
  }
  const found = await (shape === undefined ? chooser.within(budget) : chooser.shaped(shape, budget));
  return found ?? tooSmall(plan, chooser.range[0] + (plan.targetBytes ?? 0) - plan.budget);
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
