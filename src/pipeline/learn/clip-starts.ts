/** Where ranges start that are found by search: the best ratios of a block's projections, as what γ and β are the sigmoid of. */
import type { Projection } from '../../analysis/projection.js';
import { hessianOf, type Statistics } from '../../calibrate/statistics.js';
import { type Learned, namesOf, type StudentPlan } from '../../calibrate/train/learnables.js';
import { loadRows } from '../../kernels/load-rows.js';
import type { KernelPool } from '../../kernels/pool.js';
import { clipGroup } from '../../quant/solve/clip.js';
import { storedWeight } from '../solve/solve-projections.js';

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
  for (const { id, group, k, n, weight } of projections) {
    const item = { name: id, rows: n, weights: await loadRows(pool, storedWeight({ id, k, n, weight })) };
    const gram = hessianOf(await statistics.load(group));
    const { bits, slice, symmetric, blockOf } = plan;
    const [ratios] = await clipGroup(pool, [item], k, gram, { bits, slice, symmetric, block: blockOf(k), lambda });
    const names = namesOf(id);
    if (ratios === undefined) continue;
    starts.set(names.upper, ratios.high.map(logit));
    starts.set(names.lower, ratios.low.map(logit));
  }
  return starts;
}

const logit = (ratio: number): number => Math.min(Math.log(ratio / (1 - ratio)), MOST);
