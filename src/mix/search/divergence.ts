/**
 * How far a mix of a set is from a reference on some windows: KL of the next-token distributions, in nats per position. One
 * meter serves many mixes; large vocabularies are sampled once, by what the reference finds likely.
 */

import {
  type CandidateScore,
  copyLogits,
  type Logits,
  meanOf,
  type ReferenceScore,
  scoreCandidate,
  scoreReference,
  type WindowSum,
} from '../../evaluate/index.js';
import type { KernelPool } from '../../kernels/pool.js';
import type { ElasticGraph } from './elastic-graph.js';
import type { ElasticRunner } from './elastic-runner.js';
import { restrictedHead, restrictLogits, type SampledVocabulary, VocabularyCounter } from './sampled-vocabulary.js';
import type { Mix } from './types.js';

export interface Divergence {
  /** Mean KL(reference ‖ mix). */
  readonly kl: number;
  readonly standardError: number;
  readonly positions: number;
  /** Mean −log p of the next token, and how much it is above that of the reference; with ids left out, an estimate. */
  readonly nll: number;
  readonly deltaNll: number;
}

export interface MeterOptions {
  readonly runner: ElasticRunner;
  readonly graph: ElasticGraph;
  readonly pool: KernelPool;
  readonly windows: readonly ArrayLike<number>[];
  /** The logits to compare with, window by window; by default those of the mix `parent`. */
  readonly reference?: (window: number) => Promise<Logits>;
  /** The mix that stands for the set at its best; the runner starts from it. */
  readonly parent: Mix;
  /** Ids of a large vocabulary to keep; vocabularies up to twice this size are used whole. */
  readonly vocabulary: number;
}

/** Seed of the sample of ids: the same in every run, so that figures of different runs can be compared. */
const SEED = 1;

export class DivergenceMeter {
  readonly #options: MeterOptions;
  readonly #sampled: SampledVocabulary | undefined;
  readonly #scores: readonly ReferenceScore[];
  /** The windows in numbers of the ids that are compared. */
  readonly #texts: readonly ArrayLike<number>[];
  readonly #known: Map<string, Divergence> = new Map();
  /** Mixes that were run. */
  evaluations = 0;

  private constructor(
    options: MeterOptions,
    sampled: SampledVocabulary | undefined,
    scores: readonly ReferenceScore[],
    texts: readonly ArrayLike<number>[],
  ) {
    this.#options = options;
    this.#sampled = sampled;
    this.#scores = scores;
    this.#texts = texts;
  }

  /** Runs the reference, chooses the ids to compare, and leaves the runner with the parent as its base. */
  static async open(options: MeterOptions): Promise<DivergenceMeter> {
    const { runner, graph, reference, parent, windows, pool } = options;
    const sampled = await sampleOf(options);
    const texts = windows.map((ids) => idsIn(ids, sampled));
    if (sampled !== undefined && graph.head !== undefined)
      await runner.restrictHead(restrictedHead(graph.head, sampled.ids));
    const scores: ReferenceScore[] = [];
    const score = async (window: number, logits: Logits): Promise<void> => {
      const own = sampled ? restrictLogits(logits, sampled) : copyLogits(logits);
      scores.push(await scoreReference(pool, own, texts[window] as ArrayLike<number>, 'reference'));
    };
    await runner.rebase(parent, reference === undefined ? score : undefined);
    if (reference !== undefined) for (const window of windows.keys()) await score(window, await reference(window));
    return new DivergenceMeter(options, sampled, scores, texts);
  }

  /** Mean −log p of the reference, as the mixes are compared with it. */
  get referenceNll(): number {
    return meanOf(this.#scores.map(({ nll, positions }) => ({ sum: nll, positions }))).mean;
  }

  /** Ids that are compared, when not all are. */
  get ids(): number | undefined {
    return this.#sampled?.ids.length;
  }

  /** The divergence of a mix; a mix that was measured before is not run again. */
  async measure(mix: Mix): Promise<Divergence> {
    const key = [...mix]
      .map(([id, bits]) => `${id}=${bits}`)
      .sort()
      .join();
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const { runner, windows } = this.#options;
    const scores: CandidateScore[] = [];
    for (const window of windows.keys()) scores.push(await this.#score(window, await runner.logits(window, mix)));
    this.evaluations++;
    const of = (value: (score: CandidateScore, window: number) => number): readonly WindowSum[] =>
      scores.map((score, window) => ({ sum: value(score, window), positions: score.positions }));
    const { mean, standardError } = meanOf(of(({ kl }) => kl));
    const found: Divergence = {
      kl: Math.max(0, mean),
      standardError,
      positions: scores.reduce((total, each) => total + each.positions, 0),
      nll: meanOf(of(({ nll }) => nll)).mean,
      deltaNll: meanOf(of(({ nll }, window) => nll - (this.#scores[window]?.nll ?? Number.NaN))).mean,
    };
    this.#known.set(key, found);
    return found;
  }

  /** Mixes near this one are quick from now on. */
  async settle(mix: Mix): Promise<void> {
    await this.#options.runner.rebase(mix);
  }

  async #score(window: number, logits: Logits): Promise<CandidateScore> {
    const own = this.#sampled ? restrictLogits(logits, this.#sampled) : logits;
    const reference = this.#scores[window] as ReferenceScore;
    const text = this.#texts[window] as ArrayLike<number>;
    return scoreCandidate(this.#options.pool, own, text, reference, 'mix');
  }
}

/** The ids to compare, or undefined for all of them. */
async function sampleOf(options: MeterOptions): Promise<SampledVocabulary | undefined> {
  const { runner, graph, reference, parent, windows, vocabulary, pool } = options;
  const size = graph.head?.n ?? 0;
  if (size <= 2 * vocabulary) return undefined;
  const counter = new VocabularyCounter(size);
  for (const [window, ids] of windows.entries()) {
    const logits = await (reference?.(window) ?? runner.logits(window, parent));
    const { logSums } = await scoreReference(pool, logits, ids, 'reference');
    counter.add(logits, logSums);
  }
  return counter.sample(new Set(windows.flatMap((ids) => Array.from(ids))), { size: vocabulary, seed: SEED });
}

function idsIn(ids: ArrayLike<number>, sampled: SampledVocabulary | undefined): ArrayLike<number> {
  if (sampled === undefined) return ids;
  const place = new Map(Array.from(sampled.ids, (id, at) => [id, at] as const));
  return Array.from(ids, (id) => place.get(id) ?? 0);
}
