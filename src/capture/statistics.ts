/**
 * What the solver needs of a model's activations: for every group of projections with one input X [rows, K], the Gram matrix
 * XᵀX and the column sums, with the number of rows. One immutable file per group and one index in a folder.
 *
 * The mean output of a projection is not kept: it is W · mean(X).
 */
import { createHash } from 'node:crypto';
import { fail } from '../diagnostics.js';
import type { TextCounts } from './evidence.js';
import type { WeightFacts } from './row-weighting.js';

/** Sums over rows; divide by `tokens` for means. */
export interface GroupStatistics {
  readonly group: string;
  /** Inner dimension K of the projections. */
  readonly k: number;
  /** Rows that were summed; where they have weights, the sum of the weights. */
  readonly tokens: number;
  /** XᵀX, upper triangle by rows: element (i, j), i ≤ j, at `triangleIndex(k, i, j)`. */
  readonly gram: Float64Array;
  /** Column sums of X. */
  readonly sum: Float64Array;
  /** Where rows have weights: their mean before they were divided by it. */
  readonly weight?: number;
}

/** What statistics were made from. */
export interface StatisticsHeader {
  readonly version: number;
  /** Of everything below; names the files. */
  readonly digest: string;
  /** Digest of the model's weights and graph. */
  readonly model: string;
  /** Digest of the windows of token ids. */
  readonly text: string;
  readonly windows: number;
  readonly tokens: number;
  /** Weight of the first position of each window; 1 is its natural weight. */
  readonly firstWeight: number;
  /** Different contexts and ids of the windows; statistics of earlier versions lack them. */
  readonly counts?: TextCounts | undefined;
  /** True of statistics that were captured in float64 and rounded: they are the same on every processor. */
  readonly inFloat64?: boolean | undefined;
  /** How tokens were weighted; alike without. */
  readonly weights?: WeightFacts | undefined;
}

/** Statistics of one capture, in memory or in a folder. */
export interface Statistics {
  readonly header: StatisticsHeader;
  readonly groups: readonly string[];
  load(group: string): Promise<GroupStatistics>;
}

/** Changes when the meaning of the numbers changes. */
export const STATISTICS_VERSION = 1;

/** Length of a packed upper triangle. */
export const triangleLength = (k: number): number => (k * (k + 1)) / 2;

/** Place of element (i, j), i ≤ j, in a packed upper triangle of order k. */
export const triangleIndex = (k: number, i: number, j: number): number => i * k - (i * (i - 1)) / 2 + (j - i);

/** H = XᵀX / tokens as a full row-major [K, K] matrix. */
export function hessianOf({ k, gram, tokens }: GroupStatistics): Float64Array {
  const full = new Float64Array(k * k);
  let at = 0;
  for (let i = 0; i < k; i++) {
    for (let j = i; j < k; j++) {
      const value = (gram[at++] ?? 0) / tokens;
      full[i * k + j] = value;
      full[j * k + i] = value;
    }
  }
  return full;
}

/** The mean of X [K]. */
export function meanOf({ sum, tokens }: GroupStatistics): Float64Array {
  return sum.map((value) => value / tokens);
}

/** True for statistics of no row, which stand for H = I: one row, an identity matrix and no sum. */
export function isUnseen({ k, tokens, gram, sum }: GroupStatistics): boolean {
  if (tokens !== 1 || sum.some((value) => value !== 0)) return false;
  const diagonal = new Set(Array.from({ length: k }, (_, at) => triangleIndex(k, at, at)));
  return gram.every((value, at) => value === Number(diagonal.has(at)));
}

/** The sums of two disjoint sets of rows. A set without rows adds nothing. */
export function mergeGroups(a: GroupStatistics, b: GroupStatistics): GroupStatistics {
  if (a.group !== b.group || a.k !== b.k) {
    fail('statistics', a.group, `statistics of ${a.group} [${a.k}] and ${b.group} [${b.k}] cannot be added`);
  }
  if (isUnseen(b)) return a;
  if (isUnseen(a)) return b;
  const tokens = a.tokens + b.tokens;
  if (a.weight === undefined || b.weight === undefined)
    return { group: a.group, k: a.k, tokens, gram: plus(a.gram, b.gram), sum: plus(a.sum, b.sum) };
  const weight = (a.tokens * a.weight + b.tokens * b.weight) / tokens;
  const [own, other] = [a.weight / weight, b.weight / weight];
  return {
    group: a.group,
    k: a.k,
    tokens,
    weight,
    gram: plus(a.gram, b.gram, own, other),
    sum: plus(a.sum, b.sum, own, other),
  };
}

const plus = (a: Float64Array, b: Float64Array, own = 1, other = 1): Float64Array =>
  a.map((value, at) => own * value + other * (b[at] ?? 0));

/** Completes a header with the version and the digest of all its fields. */
export function headerOf(parts: Omit<StatisticsHeader, 'version' | 'digest'>): StatisticsHeader {
  const { model, text, windows, tokens, firstWeight, counts, inFloat64, weights } = parts;
  const counted = counts === undefined ? [] : [counts.contexts, counts.ids];
  const arithmetic = inFloat64 ? ['float64'] : [];
  const weighted = weights === undefined ? [] : [weights.kind, weights.groups, weights.seed];
  const made = [STATISTICS_VERSION, model, text, windows, tokens, firstWeight, ...counted, ...arithmetic, ...weighted];
  const digest = createHash('sha256').update(JSON.stringify(made)).digest('hex');
  const header = { version: STATISTICS_VERSION, digest, model, text, windows, tokens, firstWeight };
  return {
    ...header,
    ...(counts !== undefined && { counts }),
    ...(inFloat64 && { inFloat64 }),
    ...(weights !== undefined && { weights }),
  };
}

/** The header of the union of captures of one model over different texts. */
export function mergeHeaders(headers: readonly StatisticsHeader[]): StatisticsHeader {
  const [first, ...rest] = headers;
  if (first === undefined) fail('statistics', 'merge', 'there are no statistics to merge');
  for (const other of rest) {
    const same =
      other.model === first.model && other.version === first.version && other.firstWeight === first.firstWeight;
    if (!same) fail('statistics', other.digest, 'the statistics were made from another model or with other options');
    requireWeights(other, first.weights, other.digest);
  }
  const texts = headers.map((header) => header.text).sort();
  if (new Set(texts).size !== texts.length) fail('statistics', 'merge', 'the same text was captured twice');
  const drawn = headers
    .map(({ text: own, weights }) => (weights === undefined ? own : `${own} ${weights.seed}`))
    .sort();
  const text = rest.length === 0 ? first.text : createHash('sha256').update(drawn.join('\n')).digest('hex');
  const total = (pick: (header: StatisticsHeader) => number): number =>
    headers.reduce((sum, each) => sum + pick(each), 0);
  const counts = mergeCounts(headers.map((header) => header.counts));
  return headerOf({
    ...first,
    inFloat64: headers.every(({ inFloat64 }) => inFloat64 === true),
    text,
    windows: total((each) => each.windows),
    tokens: total((each) => each.tokens),
    counts,
  });
}

/** Error code `statistics-weights` where tokens do not weigh as `wanted`, whatever draws their labels. */
export function requireWeights(
  { weights }: Pick<StatisticsHeader, 'weights'>,
  wanted: Omit<WeightFacts, 'seed'> | undefined,
  at: string,
): void {
  const said = (facts: Omit<WeightFacts, 'seed'> | undefined): string =>
    facts === undefined ? 'alike' : `by ${facts.kind} in ${facts.groups} groups of outputs`;
  const [own, other] = [said(weights), said(wanted)];
  if (own !== other) fail('statistics-weights', at, `The statistics weigh tokens ${own}, and not ${other}`);
}

/** Contexts are taken for different ones in different texts, ids for the same ones; undefined when one of the texts was not counted. */
function mergeCounts(counts: readonly (TextCounts | undefined)[]): TextCounts | undefined {
  const known = counts.filter((each) => each !== undefined);
  if (known.length < counts.length) return undefined;
  const contexts = known.reduce((sum, each) => sum + each.contexts, 0);
  return { contexts, ids: Math.max(...known.map(({ ids }) => ids)) };
}

/** Digest of windows of token ids. */
export function digestOfWindows(windows: readonly ArrayLike<number>[]): string {
  const hash = createHash('sha256');
  for (const window of windows) hash.update(`${window.length}:`).update(Int32Array.from(window));
  return hash.digest('hex');
}

/** Statistics that stay in memory, for small models and tests. */
export function statisticsInMemory(header: StatisticsHeader, groups: ReadonlyMap<string, GroupStatistics>): Statistics {
  // As the files hold them, so that results do not depend on whether statistics were kept.
  for (const { gram } of groups.values())
    gram.forEach((value, at) => {
      gram[at] = Math.fround(value);
    });
  return {
    header,
    groups: [...groups.keys()],
    load: async (group) => groups.get(group) ?? fail('statistics', group, 'the statistics do not have this group'),
  };
}
