/** Feeds of a decoder: one whole text from an empty cache, or one more token on the cache of the run before. */
import { fail } from '../diagnostics.js';
import type { Decoder, DecoderInput } from './decoder-interface.js';
import { valueFor } from './input-values.js';
import { type Feeds, type HostTensor, type Outputs, type TensorInfo, zeros } from './runtime.js';

/** Where a run stands: `ids` are new, `past` tokens are in the caches already. */
interface Step {
  readonly ids: ArrayLike<number>;
  readonly past: number;
  /** The outputs of the run before, or undefined at the start. */
  readonly before: Outputs | undefined;
}

/** Feeds for a text of n ids from an empty cache, at the decoder's batch: positions 0 to n−1, nothing masked. */
export function promptFeeds(decoder: Decoder, ids: ArrayLike<number>): Feeds {
  return feedsOf(decoder, { ids, past: 0, before: undefined });
}

/** Feeds for the token or tokens after `past` others, on the caches that the run before gave out. */
export function stepFeeds(decoder: Decoder, ids: number | ArrayLike<number>, past: number, before: Outputs): Feeds {
  return feedsOf(decoder, { ids: typeof ids === 'number' ? [ids] : ids, past, before });
}

/** The outputs a run must fetch so that a step can follow. */
export function stepFetches(decoder: Decoder): readonly string[] {
  return [decoder.logits.name, ...decoder.caches.flatMap(({ output }) => output ?? [])];
}

function feedsOf(decoder: Decoder, step: Step): Feeds {
  return Object.fromEntries(decoder.inputs.map((input) => [input.info.name, feed(decoder, input, step)]));
}

function feed(decoder: Decoder, { info, role }: DecoderInput, step: Step): HostTensor {
  if (role === 'cache') return cacheFeed(decoder, info, step);
  const { ids, past } = step;
  if (role === 'ids' || role === 'vectors') requireLength(info, ids, decoder);
  const windows = Array<ArrayLike<number>>(decoder.batch).fill(ids);
  const texts = { windows, length: ids.length, past, keep: ids.length, window: decoder.window };
  const tensor = valueFor(info, role, info.dtype, texts);
  return tensor ?? fail('unsupported-model', decoder.session.at, `The input ${info.name} has the type ${info.dtype}`);
}

function requireLength(info: TensorInfo, ids: ArrayLike<number>, decoder: Decoder): void {
  const length = info.dims[1];
  if (typeof length !== 'number' || length === ids.length) return;
  fail(
    'unsupported-model',
    decoder.session.at,
    `The model takes windows of exactly ${length} tokens, not ${ids.length}`,
  );
}

function cacheFeed({ caches, session }: Decoder, info: TensorInfo, { before }: Step): HostTensor {
  const cache = caches.find(({ input }) => input === info);
  const renewed = cache?.output === undefined ? undefined : before?.[cache.output];
  if (renewed) return renewed;
  const empty = cache && zeros(info.dtype, cache.empty);
  return empty ?? fail('unsupported-model', session.at, `The cache ${info.name} has the type ${info.dtype}`);
}
