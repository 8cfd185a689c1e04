/**
 * Decoders as exporters write them (optimum, merged optimum, torch dynamo, onnxruntime-genai, transformers.js), understood
 * from the names and dimensions of their inputs and outputs. Each input has one role; an input without a role is refused.
 */
import { CompilerError, fail } from '../diagnostics.js';
import type { Cache, Decoder, InputRole } from './decoder-interface.js';
import { promptFeeds } from './feeds.js';
import { type DecoderHints, mergeHints, readHints } from './hints.js';
import type { OpenOptions, Runtime, Session, TensorInfo } from './runtime.js';

export type { Cache, Decoder, DecoderInput, InputRole } from './decoder-interface.js';

const ROLES: readonly (readonly [RegExp, InputRole])[] = [
  [/^input_ids$/, 'ids'],
  [/^attention_mask$/, 'mask'],
  [/^(position_ids|cache_position)$/, 'positions'],
  [/^past/, 'cache'],
  [/^use_cache_branch$/, 'branch'],
  [/^(num_)?logits_to_keep$/, 'keep'],
  [/^token_type_ids$/, 'segments'],
];

/** Opens the model at `path` and understands it as a decoder. `fallback` fills what the files beside the model leave open. */
export async function openDecoder(
  runtime: Runtime,
  path: string,
  options: OpenOptions = {},
  fallback: DecoderHints = {},
): Promise<Decoder> {
  const session = await runtime.open(path, options);
  try {
    return await decoderOf(session, mergeHints(readHints(path), fallback));
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** Understands an open session as a decoder, or fails with `unsupported-model`. */
export async function decoderOf(session: Session, hints: DecoderHints = {}): Promise<Decoder> {
  const inputs = session.inputs.map((info) => ({ info, role: roleOf(info, session) }));
  if (!inputs.some(({ role }) => role === 'ids'))
    fail('unsupported-model', session.at, 'The model has no input input_ids');
  const logits = logitsOf(session);
  const last = logits.dims.at(-1);
  const first = inputs.find(({ role }) => role === 'ids')?.info.dims[0];
  const batch = typeof first === 'number' && first > 0 ? first : 1;
  const shape = { session, inputs, logits, batch, vocabulary: typeof last === 'number' ? last : undefined };
  const cacheInfos = inputs.filter(({ role }) => role === 'cache').map(({ info }) => info);
  const build = (known: DecoderHints): Decoder => {
    const caches = cacheInfos.map((info) => cacheOf(info, session, known));
    return { ...shape, caches, hasCache: caches.length > 0 && caches.every(({ output }) => output !== undefined) };
  };
  const guesses = guessesOf(cacheInfos, session, hints);
  return guesses.length === 1 ? build(hints) : probe(build, guesses);
}

function roleOf(info: TensorInfo, session: Session): InputRole {
  const role = ROLES.find(([pattern]) => pattern.test(info.name))?.[1];
  if (role === undefined) {
    const why = info.name === 'inputs_embeds' ? ': the embedding is not part of the model' : '';
    return fail('unsupported-model', session.at, `There is no way to feed the input ${info.name}${why}`);
  }
  if (role === 'cache' && info.dims.length !== 4)
    fail('unsupported-model', session.at, `The cache ${info.name} does not have rank 4`);
  if (role === 'mask' && info.dims.length !== 2)
    fail('unsupported-model', session.at, 'attention_mask does not have rank 2');
  return role;
}

function logitsOf(session: Session): TensorInfo {
  const named = session.outputs.find(({ name }) => name === 'logits');
  const others = session.outputs.filter(({ name, dims }) => !name.startsWith('present') && dims.length === 3);
  const logits = named ?? (others.length === 1 ? others[0] : undefined);
  return logits ?? fail('unsupported-model', session.at, 'The model has no output logits');
}

/** Long enough for the window of every published Gemma and Mistral. */
const LONGEST_WINDOW = 4096;

function cacheOf(info: TensorInfo, session: Session, hints: DecoderHints): Cache {
  const [, heads, length] = info.dims;
  const width = widthOf(info, session) ?? hints.headDim;
  if (typeof heads !== 'number' || width === undefined) {
    return fail('unsupported-model', session.at, `The shape of the cache ${info.name} is not known`);
  }
  const emptyLength = typeof length === 'number' ? length : isWindow(info) ? (hints.window ?? LONGEST_WINDOW) : 0;
  return { input: info, output: presentOf(info, session)?.name, heads, width, emptyLength };
}

/**
 * GenAI names the caches of local layers so: with GroupQueryAttention they are buffers of at least the window, however short the
 * text (measured: an empty one is refused), with MultiHeadAttention they grow like any other.
 */
const isWindow = ({ dims: [, , length] }: TensorInfo): boolean => typeof length === 'string' && /sliding/.test(length);

/** Width of a cache from its own dimensions or those of the output that renews it; GenAI names it only `kv_cache_dim`. */
function widthOf(info: TensorInfo, session: Session): number | undefined {
  const width = [info.dims[3], presentOf(info, session)?.dims[3]].find((dim) => typeof dim === 'number');
  return width as number | undefined;
}

function presentOf(info: TensorInfo, session: Session): TensorInfo | undefined {
  const rest = info.name.replace(/^past(_key_values)?/, '');
  const names = [`present${rest}`, `present_key_values${rest}`];
  return session.outputs.find(({ name }) => names.includes(name));
}

const HEAD_WIDTHS = [64, 128, 256, 96, 80, 32, 160, 192, 512, 16, 8];

/** What the caches leave open, most likely first: head widths that nobody states, and whether a window's buffer may be empty. */
function guessesOf(caches: readonly TensorInfo[], session: Session, hints: DecoderHints): readonly DecoderHints[] {
  const isOpen = caches.some((info) => widthOf(info, session) === undefined);
  const widths = [...(hints.headDim === undefined ? [] : [hints.headDim]), ...(isOpen ? HEAD_WIDTHS : [])];
  const windows = caches.some(isWindow) ? [hints.window ?? LONGEST_WINDOW, 0] : [hints.window];
  return windows.flatMap((window) =>
    (widths.length === 0 ? [undefined] : widths).map((headDim) => ({
      ...hints,
      ...(window !== undefined && { window }),
      ...(headDim !== undefined && { headDim }),
    })),
  );
}

/** Finds what is not stated by running a short text: what is wrong is refused by some operator. */
async function probe(build: (hints: DecoderHints) => Decoder, guesses: readonly DecoderHints[]): Promise<Decoder> {
  let refusal: unknown;
  for (const guess of guesses) {
    const decoder = build(guess);
    const length = decoder.inputs.find(({ role }) => role === 'ids')?.info.dims[1];
    const ids = Array<number>(typeof length === 'number' && length > 0 ? length : 2).fill(0);
    try {
      await decoder.session.run(promptFeeds(decoder, ids), [decoder.logits.name]);
      return decoder;
    } catch (error) {
      if (!(error instanceof CompilerError)) throw error;
      refusal ??= error;
    }
  }
  throw refusal;
}
