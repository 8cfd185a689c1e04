/** Statistics of little text, filled up by those of random token ids: a convex combination of second moments, group by group. */
import { createHash } from 'node:crypto';
import { type GroupStatistics, isUnseen, type Statistics, triangleIndex } from './statistics.js';

/** The weight of the text for inputs of width `k`, from 0 to 1, where a group saw `share` of its rows: an expert sees some of them. */
export type WeightOf = (k: number, share: number) => number;

/**
 * Statistics whose means are w · text + (1 - w) · random; their header is the text's with a digest of both. Inputs that are independent
 * and of one size stand in for random ids where there are none, or none that routing sent to an expert.
 */
export function blendStatistics(text: Statistics, random: Statistics | undefined, weightOf: WeightOf): Statistics {
  const load = async (group: string): Promise<GroupStatistics> => {
    const own = await text.load(group);
    const weight = isUnseen(own) ? 0 : weightOf(own.k, Math.min(1, own.tokens / text.header.tokens));
    if (weight >= 1) return own;
    const other = await random?.load(group);
    return mixed(own, other === undefined || isUnseen(other) ? isotropic(own) : other, weight);
  };
  // Weights follow from the counts that the text's digest covers, so two digests name the blend.
  const digest = createHash('sha256').update(`${text.header.digest} ${random?.header.digest}`).digest('hex');
  return { header: { ...text.header, digest }, groups: text.groups, load };
}

/** Sums over as many rows as the text has. */
export function mixed(text: GroupStatistics, random: GroupStatistics, weight: number): GroupStatistics {
  const share = ((1 - weight) * text.tokens) / random.tokens;
  const mix = (own: Float64Array, other: Float64Array): Float64Array =>
    own.map((value, at) => weight * value + share * (other[at] as number));
  return { ...text, gram: mix(text.gram, random.gram), sum: mix(text.sum, random.sum) };
}

/** As many rows with the mean square of all elements on the diagonal. */
export function isotropic({ gram, sum, k, ...rest }: GroupStatistics): GroupStatistics {
  const diagonal = Array.from({ length: k }, (_, at) => triangleIndex(k, at, at));
  const mean = diagonal.reduce((total, at) => total + (gram[at] as number), 0) / k;
  const own = new Float64Array(gram.length);
  for (const at of diagonal) own[at] = mean;
  return { ...rest, k, gram: own, sum: new Float64Array(sum.length) };
}
