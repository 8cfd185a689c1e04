/** Joins projections that were trained with those that are solved. */
import type { Solved, SolvedProjection } from '../solve/index.js';
import type { Chosen } from '../source/index.js';

/** The frozen form of projections that were trained. */
export interface Frozen {
  find(id: string): Solved | undefined;
  codesBefore?(id: string): readonly number[] | undefined;
}

/** Yields what was trained, then the rest, solved. */
export async function* trainedFirst(
  chosen: readonly Chosen[],
  trained: Frozen | undefined,
  solve: (open: readonly Chosen[]) => AsyncIterable<SolvedProjection>,
): AsyncGenerator<SolvedProjection> {
  const open: Chosen[] = [];
  for (const each of chosen) {
    const nested = trained?.find(each.projection.id);
    const codesBefore = trained?.codesBefore?.(each.projection.id);
    if (nested === undefined) open.push(each);
    else yield { chosen: each, nested, report: undefined, seconds: 0, codesBefore };
  }
  yield* solve(open);
}
