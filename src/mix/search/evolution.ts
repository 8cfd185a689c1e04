/**
 * Evolutionary search over mixes: parents chosen by tournament, choices of a child taken from either parent, a few exchanges, and
 * a repair that brings it back to the budget by what the estimates say. The second method, for models whose sensitivities do not add up.
 */
import type { Random } from '../../random.js';
import type { Judge } from './judge.js';
import type { Judged } from './local.js';
import { choiceOf, costOf, type Picks, type Unit } from './types.js';

export interface EvolutionOptions {
  readonly units: readonly Unit[];
  readonly budget: number;
  /** Mixes to begin with; those that cost too much are repaired. */
  readonly seeds: readonly Picks[];
  readonly random: Random;
  /** Ends after this many children in a row that are no better than the worst of the population. */
  readonly patience: number;
}

const POPULATION = 16;

/** The best mix found; undefined when not one could be measured. */
export async function evolve(options: EvolutionOptions, judge: Judge): Promise<Judged | undefined> {
  const { seeds, random, patience, units } = options;
  let population: Judged[] = [];
  const enter = async (picks: Picks): Promise<boolean | undefined> => {
    if (population.some((each) => each.picks.join() === picks.join())) return false;
    const damage = await judge.measure(picks);
    if (damage === undefined) return undefined;
    const worst = population.length < POPULATION ? Number.POSITIVE_INFINITY : (population.at(-1)?.damage ?? 0);
    population = [...population, { picks, damage }].sort((a, b) => a.damage - b.damage).slice(0, POPULATION);
    return damage < worst;
  };
  const starts = seeds.map((picks) => repaired(picks, options));
  while (starts.length < POPULATION && units.length > 1) {
    const parent = starts[random.integer(starts.length)] as Picks;
    starts.push(repaired(mutated(parent, options), options));
  }
  for (const picks of starts) if ((await enter(picks)) === undefined) return population[0];
  for (let idle = 0; idle < patience; idle++) {
    const child = repaired(
      mutated(crossed(tournament(population, random), tournament(population, random), random), options),
      options,
    );
    const better = await enter(child);
    if (better === undefined) break;
    if (better) idle = -1;
  }
  return population[0];
}

function tournament(population: readonly Judged[], random: Random): Picks {
  const drawn = Array.from({ length: 3 }, () => random.integer(population.length));
  return (population[Math.min(...drawn)] as Judged).picks;
}

const crossed = (a: Picks, b: Picks, random: Random): Picks =>
  a.map((pick, at) => (random.uniform() < 0.5 ? pick : (b[at] as number)));

/** One to three units take a step up or down. */
function mutated(picks: Picks, { units, random }: EvolutionOptions): Picks {
  let child = picks;
  for (let moves = 1 + random.integer(3); moves > 0; moves--) {
    const at = random.integer(units.length);
    const pick = (child[at] as number) + (random.integer(2) === 0 ? -1 : 1);
    if (pick in (units[at] as Unit).choices) child = child.with(at, pick);
  }
  return child;
}

/** Lowers what matters least until the mix fits, then raises what matters most while there is room. */
function repaired(picks: Picks, { units, budget }: EvolutionOptions): Picks {
  let child = picks;
  while (costOf(units, child) > budget) {
    const lowered = step(units, child, -1, Number.POSITIVE_INFINITY);
    if (lowered === undefined) return child;
    child = lowered;
  }
  for (;;) {
    const raised = step(units, child, 1, budget - costOf(units, child));
    if (raised === undefined) return child;
    child = raised;
  }
}

/** The single step with the best exchange of damage for cost that fits into `room`. */
function step(units: readonly Unit[], picks: Picks, by: -1 | 1, room: number): Picks | undefined {
  let best: { at: number; worth: number } | undefined;
  for (const [at, unit] of units.entries()) {
    const pick = (picks[at] as number) + by;
    if (!(pick in unit.choices)) continue;
    const [own, next] = [choiceOf(unit, picks[at] as number), choiceOf(unit, pick)];
    const cost = next.cost - own.cost;
    if (cost > room) continue;
    const worth = (own.damage - next.damage) / Math.max(Math.abs(cost), 1);
    if (best === undefined || worth > best.worth) best = { at, worth };
  }
  return best && picks.with(best.at, (picks[best.at] as number) + by);
}
