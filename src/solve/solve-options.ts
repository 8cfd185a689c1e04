/** The solver's options for one projection, as the recipe's method has them. */
import { type ProjectionPlace, tableBlocks } from '../quant/layout.js';
import { lambdaOf, METHODS, type Recipe, type Solving } from '../recipe/index.js';
import { ROUNDED } from './kernel/clip.js';
import type { Nesting, SolveOptions } from './kernel/options.js';
import { FREE } from './text-evidence.js';

/** What a method decides of them; the rest is the recipe's alone. */
type OfMethod = Pick<SolveOptions, 'range' | 'codes' | 'rounds' | 'sweeps'> &
  Partial<Pick<SolveOptions, 'lambda' | 'damping'>>;

const ONE_PASS = { rounds: 0, sweeps: 0 } as const;

const SOLVING: Readonly<Record<Solving, (place: ProjectionPlace, recipe: Recipe) => OfMethod>> = {
  rounding: (_, { range }) => ({ range, codes: 'round', ...ONE_PASS }),
  clipping: () => ROUNDED,
  mean: (_, { range }) => ({ range, codes: 'mean', ...ONE_PASS }),
  gptq: (_, { range }) => ({ range, codes: 'gptq', ...ONE_PASS }),
  'pr-gptq': (_, { range, rounds, sweeps }) => ({ range, codes: 'gptq', rounds, sweeps }),
  'random-ids': dataFreeOptions,
};

/** The shape of the parent that a recipe asks for, in the place that the set has for it. */
export function nestingOf(place: ProjectionPlace, recipe: Recipe): Nesting {
  const { slice, decode, symmetric } = recipe;
  return { bits: place.chain, block: tableBlocks(place).block, slice, decode, symmetric };
}

export function solveOptions(place: ProjectionPlace, recipe: Recipe): SolveOptions {
  const shared = { ...nestingOf(place, recipe), lambda: lambdaOf(recipe, place.chain), damping: recipe.damping };
  return { ...shared, ...SOLVING[METHODS[recipe.method].solving](place, recipe) };
}

/** Wider inputs keep rounded codes: the factor of a Gram matrix of order 14,336 takes minutes. */
const WIDEST_FREE = 4096;

/**
 * What random token ids are good for: codes that make up for each other's errors under weights that hold the higher precisions,
 * and one sweep. docs/decisions/data-free.md has the figures.
 */
function dataFreeOptions({ k, chain }: Pick<ProjectionPlace, 'k' | 'chain'>, recipe: Recipe): OfMethod {
  const { range, rounds, sweeps } = FREE;
  const lambda = lambdaOf({ ...recipe, lambda: FREE.lambda }, chain);
  const damping = Math.max(recipe.damping, FREE.damping);
  if (k > WIDEST_FREE) return { range, codes: 'round', ...ONE_PASS, lambda, damping };
  return { range, codes: 'gptq', rounds, sweeps, lambda, damping };
}
