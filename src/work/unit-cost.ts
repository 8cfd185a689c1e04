/**
 * What units cost: counted operations, and seconds on two cores. Figures are those of Gemma 3 270M in docs/decisions/solver-speed.md and
 * distillation.md; they order units and give a first estimate, which measured units replace.
 */
import type { Projection } from '../analysis/projection.js';
import type { Recipe } from '../recipe/index.js';
import type { TokenTable } from '../source/index.js';
import type { UnitCost } from './plan-types.js';

/** Operations in a second of products in ONNX Runtime: 32,768 tokens were captured in 45 s. A training step is as fast. */
const PRODUCTS = 2.2e11;
/** Operations in a second of the solver's factorization, on one core. */
const FACTOR = 1.5e10;
/** Weights in a second that are read, packed, written and checked. */
const WRITING = 1e7;
/** Seconds to open sessions and files. */
const START = 0.5;

type Shape = Pick<Projection, 'k' | 'n'>;

const costOf = (flops: number, seconds: number): UnitCost => ({
  flops: Math.round(flops),
  seconds: Number((START + seconds).toPrecision(3)),
});

const weightsOf = (projections: readonly Shape[]): number => projections.reduce((sum, { k, n }) => sum + k * n, 0);

const layersOf = (all: readonly Projection[]): readonly Projection[] => all.filter(({ role }) => role !== 'head');

/**
 * A forward pass over tokens, and five eighths of a Gram matrix for each input that is captured. Where tokens have weights, passes there
 * and back through the layers and the head come first.
 */
export function captureCost(
  all: readonly Projection[],
  captured: readonly Projection[],
  tokens: number,
  { fisher }: Pick<Recipe, 'fisher'>,
): UnitCost {
  const inputs = new Map(captured.map(({ group, k }) => [group, k]));
  const parts = fisher === undefined || fisher.groups === 1 ? [] : captured;
  const sizes = [
    ...inputs.values(),
    ...parts.flatMap(({ k, n }) => new Array(Math.min(n, fisher?.groups ?? 1)).fill(k)),
  ];
  const grams = sizes.reduce((sum, k) => sum + 1.25 * k * k, 0);
  const weighing = fisher === undefined ? 0 : 6 * weightsOf(layersOf(all)) + 4 * weightsOf(all);
  const flops = tokens * (2 * weightsOf(layersOf(all)) + grams + weighing);
  return costOf(flops, flops / PRODUCTS);
}

/** A factorization, error feedback for each precision, and coordinate descent. */
export const solveCost = (shape: Shape, { bits, rounds, sweeps }: Recipe): UnitCost =>
  solving(shape, bits.length, rounds * sweeps);

/** As a projection of one precision, with one sweep. */
export const tableCost = (
  { rows, cols }: Pick<TokenTable, 'rows' | 'cols'>,
  { rounds, sweeps }: Pick<Recipe, 'rounds' | 'sweeps'>,
): UnitCost => solving({ k: cols, n: rows }, 1, Math.min(1, rounds * sweeps));

/** Processor seconds per million weights: .33 / .99 at K = 640 / 2048 without descent, .97 / 2.37 with six sweeps. */
function solving({ k, n }: Shape, precisions: number, sweeps: number): UnitCost {
  const flops = k ** 3 + n * k ** 2 * (precisions + 2 * sweeps);
  const perMillion = 4.8e-4 * k + (sweeps / 6) * (0.34 + 5.2e-4 * k);
  return costOf(flops, (k ** 3 / FACTOR + (n * k * perMillion) / 1e6) / 2);
}

/** Passes over the model for each precision, or there and back for each step. */
export function stageCost(kind: string, all: readonly Projection[], recipe: Recipe, tokens: number): UnitCost {
  const forward = 2 * weightsOf(layersOf(all));
  const flops = forward * passesOf(kind, recipe, tokens);
  return costOf(flops, flops / PRODUCTS);
}

/** Tokens that go through the model; a step counts three times. */
function passesOf(kind: string, { train, distill, qat, prefix, bits }: Recipe, tokens: number): number {
  if (kind === 'prefix') return tokens * (1 + (prefix?.bits.length ?? 0));
  if (kind === 'distill' && distill !== undefined) return 3 * distill.steps * distill.batch * distill.bits.length;
  if (qat !== undefined) return 3 * qat.steps * qat.batch * bits.length;
  return tokens + 3 * (train?.steps ?? 0) * (train?.batch ?? 0);
}

/** Codes and tables are read, packed and written once, and every graph is checked. */
export const emitCost = (all: readonly Shape[]): UnitCost => costOf(weightsOf(all), weightsOf(all) / WRITING);
