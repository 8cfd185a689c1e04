/** Feeds of a decoder: one whole text from an empty cache, or one more token on the cache of the run before. */
import { fail } from '../diagnostics.js';
import type { Decoder, DecoderInput } from './decoder-interface.js';
import { counts, type Feeds, type HostTensor, type Outputs, type TensorInfo, zeros } from './runtime.js';

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

/** Feeds for the token after `past` others, on the caches that the run before gave out. */
export function stepFeeds(decoder: Decoder, id: number, past: number, before: Outputs): Feeds {
  return feedsOf(decoder, { ids: [id], past, before });
}

/** The outputs a run must fetch so that a step can follow. */
export function stepFetches(decoder: Decoder): readonly string[] {
  return [decoder.logits.name, ...decoder.caches.flatMap(({ output }) => output ?? [])];
}

function feedsOf(decoder: Decoder, step: Step): Feeds {
  return Object.fromEntries(decoder.inputs.map((input) => [input.info.name, feed(decoder, input, step)]));
}

function feed(decoder: Decoder, { info, role }: DecoderInput, step: Step): HostTensor {
  const { ids, past } = step;
  const n = ids.length;
  const rows = (values: ArrayLike<number>): HostTensor => repeated(decoder, info, values);
  switch (role) {
    case 'ids':
      return rows(requireLength(info, ids, decoder));
    case 'mask':
      return rows(new Uint8Array(past + n).fill(1));
    case 'positions': {
      const positions = Array.from({ length: n }, (_, at) => past + at);
      return info.dims.length === 1 ? made(decoder, info, positions, [n]) : rows(positions);
    }
    case 'segments':
      return rows(new Uint8Array(n));
    case 'branch':
      return made(decoder, info, [step.before ? 1 : 0], info.dims.length === 0 ? [] : [1]);
    case 'keep':
      return made(decoder, info, [n], info.dims.length === 0 ? [] : [1]);
    case 'cache':
      return cacheFeed(decoder, info, step);
  }
}

/** The same row for every text of the batch. */
function repeated(decoder: Decoder, info: TensorInfo, values: ArrayLike<number>): HostTensor {
  const { batch } = decoder;
  const row = Array.from(values);
  return made(decoder, info, batch === 1 ? row : Array(batch).fill(row).flat(), [batch, row.length]);
}

function requireLength(info: TensorInfo, ids: ArrayLike<number>, decoder: Decoder): ArrayLike<number> {
  const length = info.dims[1];
  if (typeof length !== 'number' || length === ids.length) return ids;
  return fail(
    'unsupported-model',
    decoder.session.at,
    `The model takes texts of exactly ${length} tokens, not ${ids.length}`,
  );
}

function made({ session }: Decoder, info: TensorInfo, values: ArrayLike<number>, dims: readonly number[]): HostTensor {
  const tensor = counts(info.dtype, values, dims);
  return tensor ?? fail('unsupported-model', session.at, `The input ${info.name} has the type ${info.dtype}`);
}

function cacheFeed({ caches, session, batch }: Decoder, info: TensorInfo, { before }: Step): HostTensor {
  const cache = caches.find(({ input }) => input === info);
  const renewed = cache?.output === undefined ? undefined : before?.[cache.output];
  if (renewed) return renewed;
  const empty = cache && zeros(info.dtype, [batch, cache.heads, cache.emptyLength, cache.width]);
  return empty ?? fail('unsupported-model', session.at, `The cache ${info.name} has the type ${info.dtype}`);
}
