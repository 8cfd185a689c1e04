/**
 * What units cost: counted operations, and seconds by the rates of two cores. Rates were measured on TinyStories-656K and Gemma 3 270M;
 * they order units and give a first estimate, which measured units replace.
 */
import type { Projection } from '../analysis/projection.js';
import type { Recipe } from '../recipe/index.js';
import type { TokenTable } from '../source/index.js';
import type { UnitCost } from './plan-types.js';

/** Operations in a second: of products in ONNX Runtime, of the solver's kernels, and of training graphs. */
const RATES = { product: 4e10, solver: 3e9, training: 1e10 } as const;
/** Bytes in a second: a set read, written and checked. */
const WRITING = 5e7;
/** Opening a model and its sessions. */
const START = 1;

const cost = (flops: number, rate: number): UnitCost => ({
  flops: Math.round(flops),
  seconds: Number((START + flops / rate).toPrecision(3)),
});

type Shape = Pick<Projection, 'k' | 'n'>;

const weightsOf = (projections: readonly Shape[]): number => projections.reduce((sum, { k, n }) => sum + k * n, 0);

/** A forward pass over tokens, and five eighths of a Gram matrix for each input that is captured. */
export function captureCost(all: readonly Projection[], captured: readonly Projection[], tokens: number): UnitCost {
  const layers = all.filter(({ role }) => role !== 'head');
  const inputs = new Map(captured.map(({ group, k }) => [group, k]));
  const grams = [...inputs.values()].reduce((sum, k) => sum + 1.25 * k * k, 0);
  return cost(tokens * (2 * weightsOf(layers) + grams), RATES.product);
}

/** A factorization, and every row compensated at each precision in every round. */
export function solveCost({ k, n }: Shape, { bits, rounds, sweeps }: Recipe): UnitCost {
  const passes = 1 + rounds * sweeps;
  return cost(k ** 3 + 2 * n * k ** 2 * bits.length * passes, RATES.solver);
}

/** As a projection of one precision, with one round. */
export const tableCost = ({ rows, cols }: Pick<TokenTable, 'rows' | 'cols'>, { rounds, sweeps }: Recipe): UnitCost =>
  cost(cols ** 3 + 2 * rows * cols ** 2 * (1 + Math.min(1, rounds, sweeps)), RATES.solver);

/** Passes over the model and back: three times a forward pass for each step. */
export function stageCost(kind: string, all: readonly Shape[], recipe: Recipe, tokens: number): UnitCost {
  const forward = 2 * weightsOf(all);
  const { train, distill, qat, prefix, bits } = recipe;
  if (kind === 'prefix') return cost((1 + (prefix?.bits.length ?? 0)) * tokens * forward, RATES.product);
  if (kind === 'distill' && distill !== undefined)
    return cost(3 * forward * distill.steps * distill.batch * distill.bits.length, RATES.training);
  if (qat !== undefined) return cost(3 * forward * qat.steps * qat.batch * bits.length, RATES.training);
  return cost(3 * forward * (train?.steps ?? 0) * (train?.batch ?? 1), RATES.training);
}

/** Codes and tables are read, packed and written once, and every graph is checked. */
export const emitCost = (all: readonly Shape[]): UnitCost => cost(weightsOf(all), WRITING);
