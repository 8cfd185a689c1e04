/**
 * Statistics of rows that routing chose, as inputs of an expert are: where there are few of them for the width of the input, they are
 * shrunk towards those of all experts of the layer, which read rows of one value, or, behind the activation, towards independent inputs.
 */
import { inputOfExperts } from '../analysis/projection.js';
import { isotropic, mixed, type WeightOf } from './blended-statistics.js';
import { type GroupStatistics, isUnseen, mergeGroups, type Statistics } from './statistics.js';

/** `weightOf` says what rows are worth by themselves. Statistics of all rows stay as they are, and so does the digest. */
export function shrinkRouted(statistics: Statistics, weightOf: WeightOf): Statistics {
  const { header, groups } = statistics;
  const pool = new Pool(statistics);
  const load = async (group: string): Promise<GroupStatistics> => {
    const own = await statistics.load(group);
    const weight = isUnseen(own) ? 0 : own.tokens >= header.tokens ? 1 : weightOf(own.k, own.tokens / header.tokens);
    return weight >= 1 ? own : mixed(own, (await pool.of(own)) ?? isotropic(own), weight);
  };
  return { header, groups, load };
}

/** Inputs of all experts of a layer together, the last layer asked for. */
class Pool {
  readonly #statistics: Statistics;
  #last: { readonly base: string; readonly sum: Promise<GroupStatistics> } | undefined;

  constructor(statistics: Statistics) {
    this.#statistics = statistics;
  }

  /** Undefined where a group has an input of its own kind, or no row was ever seen. */
  async of({ group, k }: GroupStatistics): Promise<GroupStatistics | undefined> {
    const base = baseOf(group);
    if (!base.endsWith('.ffn-in')) return undefined;
    if (this.#last?.base !== base) this.#last = { base, sum: this.#sum(base) };
    const sum = await this.#last.sum;
    return sum.k === k && sum.tokens > 1 ? sum : undefined;
  }

  async #sum(base: string): Promise<GroupStatistics> {
    const members = this.#statistics.groups.filter((group) => baseOf(group) === base);
    let total: GroupStatistics | undefined;
    for (const member of members) {
      const own = { ...(await this.#statistics.load(member)), group: base };
      if (total === undefined || own.k === total.k) total = total === undefined ? own : mergeGroups(total, own);
    }
    return total as GroupStatistics;
  }
}

/** The input of all experts of a layer for that of one, and other inputs as they are. */
const baseOf = (group: string): string => inputOfExperts(group) ?? group;
