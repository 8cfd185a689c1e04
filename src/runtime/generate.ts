/** Cached decoding: one pass over the prompt, then one token at a time on the caches that come back. */
import { performance } from 'node:perf_hooks';
import { fail } from '../diagnostics.js';
import type { Decoder } from './decoder.js';
import { promptFeeds, stepFeeds, stepFetches } from './feeds.js';
import type { HostTensor, Outputs } from './runtime.js';

export interface Generated {
  /** The ids after the prompt. */
  readonly ids: readonly number[];
  /** Seconds of the prompt's pass. */
  readonly promptSeconds: number;
  /** Seconds of each single step; the first id comes from the prompt's pass, so there is one less than ids. */
  readonly stepSeconds: readonly number[];
}

/** Chooses an id from the logits at the last position; `step` counts from 0. */
export type Choose = (logits: HostTensor, step: number) => number;

export interface GenerateOptions {
  /** The most likely id by default (the lowest id among equals). */
  readonly choose?: Choose;
  /** The first id for which this holds is the last one; by default all `count` ids are made. */
  readonly isEnd?: (id: number) => boolean;
}

/** Continues `prompt` by at most `count` ids. Fails with `unsupported-model` when the decoder gives no caches out. */
export async function generate(
  decoder: Decoder,
  prompt: ArrayLike<number>,
  count: number,
  { choose = likeliest, isEnd = () => false }: GenerateOptions = {},
): Promise<Generated> {
  if (!decoder.hasCache) fail('unsupported-model', decoder.session.at, 'The model has no cache to decode with');
  const fetches = stepFetches(decoder);
  const timed = async (run: () => Promise<Outputs>): Promise<{ outputs: Outputs; seconds: number }> => {
    const start = performance.now();
    return { outputs: await run(), seconds: (performance.now() - start) / 1000 };
  };
  let { outputs, seconds } = await timed(() => decoder.session.run(promptFeeds(decoder, prompt), fetches));
  const promptSeconds = seconds;
  const ids: number[] = [];
  const stepSeconds: number[] = [];
  for (;;) {
    const id = choose(outputs[decoder.logits.name] as HostTensor, ids.length);
    ids.push(id);
    if (ids.length >= count || isEnd(id)) return { ids, promptSeconds, stepSeconds };
    const feeds = stepFeeds(decoder, id, prompt.length + ids.length - 1, outputs);
    ({ outputs, seconds } = await timed(() => decoder.session.run(feeds, fetches)));
    stepSeconds.push(seconds);
  }
}

/** The id with the largest logit at the last position of [1, n, vocabulary]. */
export function likeliest({ dims, data, dtype }: HostTensor): number {
  const vocabulary = dims.at(-1) as number;
  const last = data.subarray(data.length - vocabulary);
  const row = dtype === 'float16' ? Float32Array.from(last as Uint16Array, order) : (last as Float32Array);
  let best = 0;
  for (let id = 1; id < vocabulary; id++) if ((row[id] as number) > (row[best] as number)) best = id;
  return best;
}

/** A number that orders float16 bit patterns as their values are ordered. */
const order = (bits: number): number => (bits & 0x8000 ? -(bits & 0x7fff) : bits);
