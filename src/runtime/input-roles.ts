/**
 * What each input of a decoder is for: the one table that sessions, segments of a graph and `inspect` share. Names that
 * exporters use decide first; what has another name is understood by its type, its dimensions and the outputs.
 */
import type { DType } from '../onnx/ir/dtype.js';
import { cacheOutputs, emptyCache } from './cache-ports.js';

/** An input or output as a session or a graph states it. A dimension that is no number is chosen at run time. */
export interface Port {
  readonly name: string;
  readonly dtype: DType | undefined;
  /** undefined when the rank is not stated. */
  readonly dims: readonly (number | string | undefined)[] | undefined;
}

export type InputRole =
  /** Token ids [batch, tokens]. */
  | 'ids'
  /** Vectors of each token [batch, tokens, …], which no embedding inside the model makes. */
  | 'vectors'
  /** 1 for every token there is: [batch, past + tokens]. */
  | 'mask'
  /** Which token sees which: [tokens, past + tokens] behind dimensions of batch and heads. */
  | 'causal-mask'
  | 'positions'
  /** Zeros of the shape of the ids. */
  | 'segments'
  /** One number, or one a text: tokens in the caches. */
  | 'past-count'
  /** Tokens that are new. */
  | 'new-count'
  /** Both together. */
  | 'total-count'
  /** Position of the last token. */
  | 'last-position'
  /** Whether the caches hold something. */
  | 'branch'
  /** How many positions get logits. */
  | 'keep'
  | 'cache';

/** The role of an input, with the output that renews a cache; or why it cannot be fed. */
export type Understood =
  | { readonly role: InputRole; readonly output?: string }
  | { readonly role?: undefined; readonly problem: string };

/** What `inspect` and refusals say can be fed. */
export const UNDERSTOOD =
  'input_ids or inputs_embeds, per_layer_inputs, attention_mask and other masks, position_ids, cache_position, token_type_ids, logits_to_keep, use_cache_branch, lengths such as past_sequence_length, and caches (float inputs of rank 3 to 5 with an output of the same type and shape)';

/** Names with the ranks that their values have. */
const NAMES: readonly (readonly [RegExp, InputRole, readonly number[]])[] = [
  [/^(input_ids|token_ids|tokens)$/, 'ids', [2]],
  [/^(inputs?_embed(s|dings?)|per_layer_inputs)$/, 'vectors', [3, 4]],
  [/mask/, 'mask', [2]],
  [/mask/, 'causal-mask', [3, 4]],
  [/^(position_ids|positions|cache_position|input_pos)$/, 'positions', [1, 2, 3]],
  [/^(token_type_ids|segment_ids)$/, 'segments', [2]],
  [/^(num_)?logits_to_keep$/, 'keep', [0, 1]],
  [/^(past_(sequence_|seq_?|kv_)?len(gth)?|start_pos|cache_length)$/, 'past-count', [0, 1, 2]],
  [/^total_(sequence_|seq_?)?len(gth)?$/, 'total-count', [0, 1, 2]],
  [/^(sequence_|seq_|input_)len(gth)?s?$/, 'new-count', [0, 1, 2]],
  [/^seqlens_k$/, 'last-position', [0, 1, 2]],
  [/^use_cache_branch$/, 'branch', [0, 1]],
];

const FLOATS: ReadonlySet<DType | undefined> = new Set(['float32', 'float16', 'bfloat16', 'float64']);
const INTEGERS: ReadonlySet<DType | undefined> = new Set(['int64', 'int32']);

/** The role of every input, in their order. */
export function rolesOf(inputs: readonly Port[], outputs: readonly Port[]): ReadonlyMap<string, Understood> {
  const caches = cacheOutputs(inputs.filter(mayBeCache), outputs);
  const roles = new Map<string, Understood>();
  for (const port of inputs) roles.set(port.name, byName(port, outputs, caches) ?? { problem: problemOf(port) });
  const tokens = inputs.find(({ name }) => roles.get(name)?.role === 'ids' || isMain(name, roles))?.dims;
  for (const port of inputs) {
    const isOpen = roles.get(port.name)?.role === undefined && namedRole(port) === undefined;
    if (isOpen) addByShape(port, inputs, tokens, roles);
  }
  for (const port of inputs) {
    const rows = roles.get(port.name)?.role === 'mask' ? port.dims?.[0] : undefined;
    if (rows && rows === tokens?.[1]) roles.set(port.name, { role: 'causal-mask' });
  }
  return roles;
}

const isMain = (name: string, roles: ReadonlyMap<string, Understood>): boolean =>
  roles.get(name)?.role === 'vectors' && name !== 'per_layer_inputs';

/** True when something says which tokens there are. */
export function hasTokens(roles: ReadonlyMap<string, Understood>): boolean {
  return [...roles].some(([name, { role }]) => role === 'ids' || (role === 'vectors' && name !== 'per_layer_inputs'));
}

/** The output that holds the logits: by its name, or the only one of rank 3 that is no cache. */
export function logitsPort(outputs: readonly Port[]): Port | undefined {
  const others = outputs.filter(({ name, dims }) => !name.startsWith('present') && dims?.length === 3);
  return outputs.find(({ name }) => name === 'logits') ?? (others.length === 1 ? others[0] : undefined);
}

const namedRole = ({ name, dims }: Port): InputRole | undefined =>
  NAMES.find(([pattern, , ranks]) => pattern.test(name) && (dims === undefined || ranks.includes(dims.length)))?.[1];

/** Named masks and vectors are no caches, whatever outputs there are; of rank 3 a hidden state looks the same. */
function mayBeCache(port: Port): boolean {
  const rank = port.dims?.length ?? 0;
  if (!FLOATS.has(port.dtype) || namedRole(port) !== undefined) return false;
  return rank === 4 || rank === 5 || (rank === 3 && /past|cache|kv|conv|ssm/.test(port.name));
}

function byName(port: Port, outputs: readonly Port[], caches: ReadonlyMap<string, string>): Understood | undefined {
  const role = namedRole(port);
  if (role === 'vectors' && !isWide(port))
    return { problem: `${problemOf(port)}: the width of its vectors is not stated` };
  if (role !== undefined) return { role };
  const output = caches.get(port.name);
  if (output === undefined && !(/^past/.test(port.name) && port.dims?.length === 4)) return undefined;
  const renewed = outputs.find(({ name }) => name === output);
  if (emptyCache(port.dims, renewed?.dims, { batch: 1, width: 1, length: 0 }) === undefined)
    return { problem: `${problemOf(port)}: the shape of the cache is not known` };
  return output === undefined ? { role: 'cache' } : { role: 'cache', output };
}

/** Names that nobody knows: the only integer matrix is the ids, a float tensor of a width for each token is vectors. */
function addByShape(port: Port, inputs: readonly Port[], tokens: Port['dims'], roles: Map<string, Understood>): void {
  const { name, dtype, dims } = port;
  if (dims === undefined) return;
  if (dtype === 'bool' && dims.length <= 1) roles.set(name, { role: 'branch' });
  if (hasTokens(roles)) {
    const perToken = tokens !== undefined && typeof dims[1] === 'string' && dims[1] !== '' && dims[1] === tokens[1];
    if (perToken && isWide(port)) roles.set(name, { role: 'vectors' });
    return;
  }
  const open = inputs.filter((each) => roles.get(each.name)?.role === undefined);
  const matrices = open.filter((each) => INTEGERS.has(each.dtype) && each.dims?.length === 2);
  if (matrices.length === 1 && matrices[0] === port) roles.set(name, { role: 'ids' });
  const wide = open.filter((each) => each.dims?.length === 3 && isWide(each));
  if (matrices.length === 0 && wide.length === 1 && wide[0] === port) roles.set(name, { role: 'vectors' });
}

/** [batch, tokens, widths…] of a float type. */
const isWide = ({ dtype, dims }: Port): boolean =>
  FLOATS.has(dtype) && dims !== undefined && dims.length >= 3 && dims.slice(2).every((dim) => typeof dim === 'number');

function problemOf({ name, dtype, dims }: Port): string {
  const shape = dims === undefined ? 'of unknown rank' : `[${dims.map((dim) => dim || '?').join(', ')}]`;
  return `There is no way to feed the input ${name} (${dtype ?? 'unknown type'} ${shape})`;
}
