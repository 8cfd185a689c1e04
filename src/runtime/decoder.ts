/**
 * Decoders as exporters write them (optimum, merged optimum, torch dynamo, onnxruntime-genai, transformers.js), understood
 * from the names, types and dimensions of their inputs and outputs (`input-roles.ts`); an input without a role is refused.
 */
import { CompilerError, fail } from '../diagnostics.js';
import { emptyCache, lacksWidth } from './cache-ports.js';
import type { Cache, Decoder, InputRole } from './decoder-interface.js';
import { embeddedSession } from './embedded-session.js';
import { promptFeeds } from './feeds.js';
import { type DecoderHints, mergeHints, readHints } from './hints.js';
import { hasTokens, logitsPort, rolesOf, type Understood } from './input-roles.js';
import type { OpenOptions, Runtime, Session, TensorInfo } from './runtime.js';
import { openEmbedding } from './token-embedding.js';

export type { Cache, Decoder, DecoderInput, InputRole } from './decoder-interface.js';

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

/**
 * Understands an open session as a decoder, or fails with `unsupported-model`. Where it takes vectors that a model beside it makes, the
 * decoder's session takes token ids.
 */
export async function decoderOf(given: Session, hints: DecoderHints = {}): Promise<Decoder> {
  const session = await withEmbedding(given, hints);
  try {
    return await understood(session, hints);
  } catch (error) {
    if (session !== given) await session.close();
    throw error;
  }
}

async function understood(session: Session, hints: DecoderHints): Promise<Decoder> {
  const roles = requireRoles(session);
  const inputs = session.inputs.map((info) => ({ info, role: roles.get(info.name)?.role as InputRole }));
  const logits = logitsOf(session);
  const last = logits.dims.at(-1);
  const first = inputs.find(({ role }) => role === 'ids' || role === 'vectors')?.info.dims[0];
  const batch = typeof first === 'number' && first > 0 ? first : 1;
  const vocabulary = typeof last === 'number' ? last : undefined;
  const shape = { session, inputs, logits, batch, vocabulary, window: hints.window };
  const cacheInfos = inputs.filter(({ role }) => role === 'cache').map(({ info }) => portOf(info, session, roles));
  const build = (known: DecoderHints): Decoder => {
    const caches = cacheInfos.map((port) => cacheOf(port, session, batch, known));
    return { ...shape, caches, hasCache: caches.length > 0 && caches.every(({ output }) => output !== undefined) };
  };
  const guesses = guessesOf(cacheInfos, hints);
  return guesses.length === 1 ? build(hints) : probe(build, guesses);
}

async function withEmbedding(session: Session, { embedding }: DecoderHints): Promise<Session> {
  const roles = rolesOf(session.inputs, session.outputs);
  if (embedding === undefined || ![...roles.values()].some(({ role }) => role === 'vectors')) return session;
  return embeddedSession(session, roles, await openEmbedding(embedding));
}

function requireRoles(session: Session): ReadonlyMap<string, Understood> {
  const roles = rolesOf(session.inputs, session.outputs);
  for (const understood of roles.values())
    if (understood.role === undefined) fail('unsupported-model', session.at, understood.problem);
  if (!hasTokens(roles)) fail('unsupported-model', session.at, 'The model has no input input_ids or inputs_embeds');
  return roles;
}

/** A cache as the session states it, with the output that renews it. */
interface CachePort {
  readonly input: TensorInfo;
  readonly output: TensorInfo | undefined;
}

function portOf(input: TensorInfo, { outputs }: Session, roles: ReadonlyMap<string, Understood>): CachePort {
  const understood = roles.get(input.name);
  const name = understood?.role === undefined ? undefined : understood.output;
  return { input, output: outputs.find((each) => each.name === name) };
}

function logitsOf(session: Session): TensorInfo {
  const name = logitsPort(session.outputs)?.name;
  const logits = session.outputs.find((each) => each.name === name);
  return logits ?? fail('unsupported-model', session.at, 'The model has no output logits');
}

/** Long enough for the window of every published Gemma and Mistral. */
const LONGEST_WINDOW = 4096;

function cacheOf({ input, output }: CachePort, { at }: Session, batch: number, hints: DecoderHints): Cache {
  const length = isWindow(input) ? (hints.window ?? LONGEST_WINDOW) : 0;
  const empty = emptyCache(input.dims, output?.dims, { batch, width: hints.headDim, length });
  if (empty === undefined) return fail('unsupported-model', at, `The shape of the cache ${input.name} is not known`);
  return { input, output: output?.name, empty };
}

/**
 * GenAI names the caches of local layers so: with GroupQueryAttention they are buffers of at least the window, however short the
 * text (measured: an empty one is refused), with MultiHeadAttention they grow like any other.
 */
const isWindow = ({ dims: [, , length] }: TensorInfo): boolean => typeof length === 'string' && /sliding/.test(length);

const HEAD_WIDTHS = [64, 128, 256, 96, 80, 32, 160, 192, 512, 16, 8];

/** What the caches leave open, most likely first: head widths that nobody states, and whether a window's buffer may be empty. */
function guessesOf(caches: readonly CachePort[], hints: DecoderHints): readonly DecoderHints[] {
  const isOpen = caches.some(({ input, output }) => lacksWidth(input.dims, output?.dims));
  const widths = [...(hints.headDim === undefined ? [] : [hints.headDim]), ...(isOpen ? HEAD_WIDTHS : [])];
  const windows = caches.some(({ input }) => isWindow(input)) ? [hints.window ?? LONGEST_WINDOW, 0] : [hints.window];
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
    const length = decoder.inputs.find(({ role }) => role === 'ids' || role === 'vectors')?.info.dims[1];
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
