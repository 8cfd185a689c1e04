/** Weights of tokens in Gram matrices, where some count more than others. */
import { startsOf, type Window } from '../text/index.js';
import type { Group } from './groups.js';

/** What weights follow from, beside the model and the text. */
export interface WeightFacts {
  readonly kind: 'fisher';
  /** Gram matrices of a projection, each of a contiguous group of its outputs; 1 for one matrix of all projections with one input. */
  readonly groups: number;
  /** Of the numbers that draw labels. */
  readonly seed: number;
}

/** Weights of the tokens of a text for one matrix. */
export interface WeightedRows {
  /** [tokens], window by window; their mean is 1. */
  readonly weights: Float32Array;
  /** Their mean before they were divided by it. */
  readonly mean: number;
}

/** Where weights come from. */
export interface RowWeighting {
  readonly facts: WeightFacts;
  /** Names of the Gram matrices of a group's input. */
  matrices(group: Pick<Group, 'id' | 'projections'>): readonly string[];
  /** The weights of one of them; computed when the first is asked for. */
  rows(matrix: string): Promise<WeightedRows>;
}

/** Names of the Gram matrices of a projection whose outputs are divided into groups; none where it has the one of its input. */
export const outputMatrices = (id: string, count: number, groups: number): readonly string[] =>
  groups === 1
    ? []
    : Array.from({ length: Math.min(count, groups) }, (_, at) => `${id}/${at + 1}-of-${Math.min(count, groups)}`);

/** Numbers of the first tokens of windows in their text; the first place of a window that is there more than once. */
export function startOfEach(windows: readonly Window[]): ReadonlyMap<Window, number> {
  const starts = startsOf(windows);
  return new Map(windows.map((window, at) => [window, starts[at] as number] as const).toReversed());
}

/** The weights of the windows of a batch, [windows · length]. */
export function weightsOfBatch(
  windows: readonly Window[],
  length: number,
  { weights }: WeightedRows,
  starts: ReadonlyMap<Window, number>,
): Float32Array {
  const own = new Float32Array(windows.length * length);
  windows.forEach((window, at) => {
    const start = starts.get(window) as number;
    own.set(weights.subarray(start, start + length), at * length);
  });
  return own;
}
