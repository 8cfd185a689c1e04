/** Where ranges start that are found by search: the best ratios of a block's projections, as what γ and β are the sigmoid of. */
import type { Projection } from '../analysis/projection.js';
import type { Statistics } from '../capture/index.js';
import type { KernelPool } from '../kernels/pool.js';
import { clipGroup, gramOf, groupsOf, itemsOf } from '../solve/index.js';
import { type Learned, namesOf, type StudentPlan } from './blocks/learnables.js';

/** σ(4) = .982, where OmniQuant starts: beyond it a ratio hardly has a gradient. */
const MOST = 4;

/** The starts by the names of what learns. */
export async function clipStarts(
  projections: readonly Projection[],
  plan: StudentPlan,
  lambda: Readonly<Record<number, number>>,
  statistics: Statistics,
  pool: KernelPool,
): Promise<Learned> {
  const starts = new Map<string, Float32Array>();
  const { bits, slice, symmetric, blockOf } = plan;
  for (const group of groupsOf(projections.map((projection) => ({ projection })))) {
    const [{ projection: first }] = group as [{ projection: Projection }];
    const clip = { bits, slice, symmetric, block: blockOf(first.k), lambda };
    const gram = await gramOf(first, statistics);
    const found = await clipGroup(pool, await itemsOf(group, pool), first.k, gram, clip);
    for (const [at, { high, low }] of found.entries()) {
      const names = namesOf(group[at]?.projection.id ?? '');
      starts.set(names.upper, high.map(logit));
      starts.set(names.lower, low.map(logit));
    }
  }
  return starts;
}

const logit = (ratio: number): number => Math.min(Math.log(ratio / (1 - ratio)), MOST);
