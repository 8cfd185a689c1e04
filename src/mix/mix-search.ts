/** Chooses a precision for every unit of a set: from estimates alone, or with the model at hand. One chooser serves many budgets. */
import type { Context } from '../log.js';
import { effectiveBits, type SetLayout } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import { createRandom } from '../random.js';
import type { BitsTable } from './bits-file.js';
import type { OpenMeter } from './mix-meter.js';
import type { CostOf } from './mix-units.js';
import { evolve } from './search/evolution.js';
import { greedyPicks } from './search/greedy.js';
import { MeteredJudge } from './search/judge.js';
import { Front } from './search/knapsack.js';
import { type Judged, localSearch } from './search/local.js';
import { SHAPES, type Shape, shapeMix } from './search/shapes.js';
import { tie } from './search/tied.js';
import { costOf, type Mix, mixOf, type Picks, damageOf as sumDamage, type Unit } from './search/types.js';

/** Search methods: exact knapsack (`dp`), greedy, local moves on measured mixes, evolution. */
export type Method = 'dp' | 'greedy' | 'local' | 'evolution';

export interface ChooserOptions {
  readonly layout: SetLayout;
  /** Choices of each unit, with what the budget counts. */
  readonly units: readonly Unit[];
  /** Projections that were decided before. */
  readonly fixed: Mix;
  readonly cost: CostOf;
  readonly method: Method;
  /** Most mixes to run for one budget. */
  readonly evaluations: number;
  readonly seed: number;
  /** The model; needed by the measured methods only. */
  readonly model: OpenMeter | undefined;
}

/** A mix and what is known of it. */
export interface Chosen {
  readonly table: BitsTable;
  /** What the budget counts, fixed projections included. */
  readonly cost: number;
  /** Sum of the estimated sensitivities. */
  readonly estimate: number;
  /** Measured on the text of the search, in nats per position; absent without a model. */
  readonly kl?: number;
  /** Mixes that were run to find it. */
  readonly evaluations: number;
}

/** Children in a row without an improvement after which evolution gives up. */
const PATIENCE = 60;

export class MixChooser {
  readonly #options: ChooserOptions;
  readonly #context: Context;
  readonly #front: Front;
  readonly #fixedCost: number;
  /** The layer of each unit, counted from 0. */
  readonly #layerOf: readonly number[];

  constructor(options: ChooserOptions, context: Context) {
    this.#options = options;
    this.#context = context;
    this.#front = new Front(options.units);
    this.#layerOf = layersOf(options);
    const places = new Map(options.layout.projections.map((place) => [place.id, place]));
    this.#fixedCost = [...options.fixed].reduce((sum, [id, bits]) => {
      const place = places.get(id);
      return place === undefined ? sum : sum + options.cost(place, bits);
    }, 0);
  }

  /** Cost of the cheapest and of the dearest mix. */
  get range(): readonly [number, number] {
    const { points } = this.#front;
    return [this.#fixedCost + (points[0]?.cost ?? 0), this.#fixedCost + (points.at(-1)?.cost ?? 0)];
  }

  /** The best mix within a budget; undefined when even the cheapest costs more. */
  async within(budget: number): Promise<Chosen | undefined> {
    const { units, method } = this.#options;
    const left = budget - this.#fixedCost;
    const judge = this.#judge();
    const picks = method === 'greedy' ? greedyPicks(units, left) : this.#knapsack(left);
    if (picks === undefined) return undefined;
    if (judge === undefined || method === 'dp' || method === 'greedy') return this.#chosen(picks, judge);
    const found = await this.#search(picks, left, judge);
    return this.#chosen(found?.picks ?? picks, judge);
  }

  /** A named shape within a budget. */
  async shaped(shape: Shape, budget: number): Promise<Chosen | undefined> {
    const picks = this.#shape(shape, budget - this.#fixedCost);
    return picks && this.#chosen(picks, this.#judge());
  }

  /** One precision for all, raised where a projection has no such low one. */
  async uniform(bits: Precision): Promise<Chosen> {
    return this.#chosen(this.#uniform(bits), this.#judge());
  }

  /** The cheapest mix whose damage is at most this: measured where there is a model, else estimated. */
  async under(damage: number): Promise<Chosen | undefined> {
    const judge = this.#judge();
    if (judge === undefined) {
      const point = this.#front.atMost(damage);
      return point === undefined ? undefined : this.#chosen(this.#front.picks(point), undefined);
    }
    const start = await this.#bisect(damage, judge);
    return start === undefined ? undefined : this.#chosen(await this.#cheapen(start, damage, judge), judge);
  }

  /** The first point of the front whose mix measures at most this, taking the measure to fall along the front. */
  async #bisect(damage: number, judge: MeteredJudge): Promise<Picks | undefined> {
    let [low, high] = [0, this.#front.points.length - 1];
    const fits = async (point: number): Promise<boolean> =>
      ((await judge.measure(this.#front.picks(point))) ?? Number.POSITIVE_INFINITY) <= damage;
    if (!(await fits(high))) return undefined;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (await fits(middle)) high = middle;
      else low = middle + 1;
    }
    return this.#front.picks(high);
  }

  /** Takes a step of cost away as long as some mix of that cost still measures at most this. */
  async #cheapen(start: Picks, damage: number, judge: MeteredJudge): Promise<Picks> {
    const { units, method } = this.#options;
    let picks = start;
    for (;;) {
      const spent = costOf(units, picks);
      const cheaper = this.#front.points.findLast(({ cost }) => cost < spent);
      if (cheaper === undefined || method === 'dp' || method === 'greedy') return picks;
      const begin = this.#knapsack(cheaper.cost);
      const found = begin && (await localSearch(units, begin, cheaper.cost, judge));
      if (found === undefined || found.damage > damage) return picks;
      picks = found.picks;
    }
  }

  async #search(picks: Picks, budget: number, judge: MeteredJudge): Promise<Judged | undefined> {
    const { units, method, seed } = this.#options;
    const starts = [picks, ...this.#references(budget)];
    if (method === 'evolution') {
      const random = createRandom(seed).fork('mix');
      return evolve({ units, budget, seeds: starts, random, patience: PATIENCE }, judge);
    }
    let best: Judged | undefined;
    for (const start of starts) {
      const damage = await judge.measure(start);
      if (damage !== undefined && (best === undefined || damage < best.damage)) best = { picks: start, damage };
    }
    return best && ((await localSearch(units, best.picks, budget, judge)) ?? best);
  }

  /** What a search must never lose to: the named shapes, the uniform precisions, and one precision for each layer. */
  #references(budget: number): readonly Picks[] {
    const { units, layout } = this.#options;
    const uniform = layout.bits.map((bits) => this.#uniform(bits)).filter((picks) => costOf(units, picks) <= budget);
    const shapes = SHAPES.map((shape) => this.#shape(shape, budget)).filter((picks) => picks !== undefined);
    return [...uniform.slice(-1), ...this.#layered(budget), ...shapes];
  }

  #judge(): MeteredJudge | undefined {
    const { model, units, fixed, evaluations } = this.#options;
    if (model === undefined) return undefined;
    const report = (done: number): void =>
      this.#context.progress.update({ stage: 'search', done, total: evaluations, detail: 'mixes run' });
    return new MeteredJudge(model.meter, units, fixed, evaluations, report);
  }

  #knapsack(budget: number): Picks | undefined {
    const point = this.#front.within(budget);
    return point === undefined ? undefined : this.#front.picks(point);
  }

  /** The exact choice for whole layers. */
  #layered(budget: number): readonly Picks[] {
    const tied = tie(this.#options.units, this.#layerOf);
    const front = new Front(tied.units);
    const point = front.within(budget);
    return point === undefined ? [] : [tied.picks(front.picks(point))];
  }

  #uniform(bits: number): Picks {
    return this.#options.units.map(({ choices }) => {
      const pick = choices.findIndex((choice) => choice.bits >= bits);
      return pick < 0 ? choices.length - 1 : pick;
    });
  }

  /** A shape over layers as picks of the units. */
  #shape(shape: Shape, budget: number): Picks | undefined {
    const { units, layout } = this.#options;
    const layers = new Set(layout.projections.map(({ layer }) => layer)).size;
    const places = this.#layerOf;
    const pick = (unit: Unit, bits: number): number => {
      const at = unit.choices.findIndex((choice) => choice.bits >= bits);
      return at < 0 ? unit.choices.length - 1 : at;
    };
    const cost = (layer: number, bits: Precision): number =>
      units.reduce(
        (sum, unit, at) => sum + (places[at] === layer ? (unit.choices[pick(unit, bits)]?.cost ?? 0) : 0),
        0,
      );
    const bits = [...new Set(units.flatMap(({ choices }) => choices.map((choice) => choice.bits)))];
    const mix = shapeMix(shape, { layers, bits, cost, budget });
    return mix && units.map((unit, at) => pick(unit, mix[places[at] as number] as number));
  }

  async #chosen(picks: Picks, judge: MeteredJudge | undefined): Promise<Chosen> {
    const { units, fixed, layout, model } = this.#options;
    const mix: Mix = new Map([...fixed, ...mixOf(units, picks)]);
    const entries = layout.projections.map(
      (place) => [place.id, effectiveBits(place, mix.get(place.id) ?? 0)] as const,
    );
    const kl = model && (await model.meter.measure(mix)).kl;
    return {
      table: Object.fromEntries(entries),
      cost: this.#fixedCost + costOf(units, picks),
      estimate: sumDamage(units, picks),
      ...(kl !== undefined && { kl }),
      evaluations: judge?.evaluations ?? 0,
    };
  }
}

function layersOf({ layout, units }: Pick<ChooserOptions, 'layout' | 'units'>): readonly number[] {
  const layers = [...new Set(layout.projections.map(({ layer }) => layer))];
  const layerOf = new Map(layout.projections.map(({ id, layer }) => [id, layers.indexOf(layer)]));
  return units.map(({ projections }) => layerOf.get(projections[0] as string) ?? 0);
}
