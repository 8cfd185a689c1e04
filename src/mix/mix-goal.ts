/** What a mix is to reach, as a budget for the search. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { byteSize, significant } from '../format.js';
import { allPlaces, type SetLayout } from '../quant/layout.js';
import { type BitsOf, bytesOf, storedBytes } from '../quant/layout-use.js';
import type { OpenTemplate } from '../set/index.js';
import { type CostOf, codeCost, type StoredForm, storedCost } from './mix-units.js';

/** The goal of a mix: exactly one of these. */
export type MixGoal =
  /** Bits of a code on average, as they are stored; tables come on top. */
  | { readonly averageBits: number }
  /** Bytes of all that the model needs: its graph, and what it reads of the data. */
  | { readonly targetBytes: number }
  /** The smallest model with at most this KL to the reference, nats per position. */
  | { readonly maxKl: number }
  | { readonly bitsFile: string };

/** A goal that something has to be chosen for. */
export type SearchedGoal = Exclude<MixGoal, { bitsFile: string }>;

export interface GoalPlan {
  /** What a mix for this goal is called. */
  readonly name: string;
  /** The option that a goal out of reach is blamed on. */
  readonly option: string;
  /** A cost in words. */
  readonly show: (cost: number) => string;
  readonly cost: CostOf;
  readonly budget: number;
  /** Set when the size of what is written counts. */
  readonly targetBytes?: number;
}

export function planGoal(goal: SearchedGoal, open: OpenTemplate, form: StoredForm): GoalPlan {
  const { layout } = open;
  if ('averageBits' in goal) {
    const most = Math.max(...layout.bits);
    if (goal.averageBits > most)
      fail(
        'bad-usage',
        'goal.averageBits',
        `The set has codes of at most ${most} bits, not ${goal.averageBits} on average`,
      );
    const weights = layout.projections.reduce((sum, { k, n }) => sum + k * n, 0);
    return {
      name: `mix_${goal.averageBits}bits`,
      option: 'goal.averageBits',
      show: (cost) => `${significant(cost / weights)} bits on average`,
      cost: codeCost(form),
      // Sums of whole bits must not miss the budget by a rounding error.
      budget: goal.averageBits * weights + 0.5,
    };
  }
  const cost = storedCost(layout, form);
  if ('maxKl' in goal) {
    const name = `mix_kl${goal.maxKl}`;
    return { name, option: 'goal.maxKl', show: byteSize, cost, budget: Number.POSITIVE_INFINITY };
  }
  const { targetBytes } = goal;
  const lowest = Math.min(...layout.bits);
  // The least that they take; which precision a mix reads them at depends on its bits.
  const tables = (layout.tokenTables ?? []).reduce((sum, place) => sum + storedBytes(layout, place, lowest, false), 0);
  const name = `mix_${byteSize(targetBytes).replace(' ', '')}`;
  return {
    name,
    option: 'goal.targetBytes',
    show: byteSize,
    cost,
    budget: targetBytes - bytesOf(layout.rest) - tables - graphBytes(open),
    targetBytes,
  };
}

/** The largest graph of the set: a mix needs about as much. */
function graphBytes({ set }: OpenTemplate): number {
  const sizes = set.manifest.graphs.map(
    ({ file }) => statSync(join(set.folder, file), { throwIfNoEntry: false })?.size,
  );
  return Math.max(0, ...sizes.map((size) => size ?? 0));
}

/** Bytes of the data file that a mix reads, wherever they lie. */
export function dataBytes(layout: SetLayout, bitsOf: BitsOf): number {
  return allPlaces(layout).reduce(
    (sum, place) => sum + storedBytes(layout, place, bitsOf(place.id), false),
    bytesOf(layout.rest),
  );
}

/** What has to be stored for a mix: about a graph, and what it reads of the data. */
export const readBytes = (open: OpenTemplate, bitsOf: BitsOf): number =>
  graphBytes(open) + dataBytes(open.layout, bitsOf);
