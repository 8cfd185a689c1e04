/** Caches by structure: float inputs that an output of the same kind renews, whatever they are called, and their empty shape. */
import type { Port } from './input-roles.js';

/** The output that renews each input; inputs without one are left out. Equal names come first, then the order among equals. */
export function cacheOutputs(inputs: readonly Port[], outputs: readonly Port[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  const free = new Set(outputs);
  const take = (input: Port, output: Port | undefined): void => {
    if (output === undefined) return;
    found.set(input.name, output.name);
    free.delete(output);
  };
  for (const input of inputs)
    take(
      input,
      [...free].find((output) => fits(input, output) && coreOf(output.name) === coreOf(input.name)),
    );
  for (const input of inputs) {
    if (found.has(input.name)) continue;
    const same = (port: Port): boolean => fits(input, port);
    const open = inputs.filter((each) => !found.has(each.name) && same(each));
    const left = [...free].filter(same);
    // As many outputs as inputs of this kind: they come in one order.
    if (left.length === open.length) for (const [at, each] of open.entries()) take(each, left[at]);
  }
  return found;
}

/** Words that tell what goes in from what comes out. */
const SIDES = /past_key_values|present_key_values|past|present|input|output|updated|new|old|next|prev|in|out/g;

/** `past_key_values.0.key`, `present.0.key`, `k_cache_0` and `k_cache_0_out` without what tells input from output. */
function coreOf(name: string): string {
  const words = name.replace(/(past|present)_key_values/g, '$1').split(/[^A-Za-z0-9]+/);
  return words.filter((word) => word !== '' && word.replace(SIDES, '') !== '').join('.');
}

/** One element type and rank, and no two different numbers in a dimension other than the length. */
function fits(input: Port, output: Port): boolean {
  const [a, b] = [input.dims, output.dims];
  if (input.dtype !== output.dtype || a === undefined || b === undefined || a.length !== b.length) return false;
  const differ = a.filter((dim, axis) => typeof dim === 'number' && typeof b[axis] === 'number' && dim !== b[axis]);
  const numbers = a.filter((dim, axis) => typeof dim === 'number' || typeof b[axis] === 'number');
  return numbers.length > 0 && differ.length === 0;
}

/** What a graph leaves open of an empty cache. */
export interface CacheFacts {
  readonly batch: number;
  /** Width of a head. */
  readonly width: number | undefined;
  /** Length where it is not stated: 0, or the window of a local layer. */
  readonly length: number;
}

/**
 * The shape of a cache that holds nothing; undefined when it cannot be told. [batch, heads, length, width] and
 * [batch, length, heads, width] are told apart by which of the two is a number; other ranks have one open dimension, the length.
 */
export function emptyCache(dims: Port['dims'], output: Port['dims'], facts: CacheFacts): readonly number[] | undefined {
  if (dims === undefined) return undefined;
  const batchAxis = dims.length === 5 && typeof dims[0] === 'number' && typeof dims[1] !== 'number' ? 1 : 0;
  const shape = dims.map((dim, axis) => (axis === batchAxis ? facts.batch : numberIn(dim, output?.[axis])));
  const isPlain = dims.length === 4 && batchAxis === 0;
  if (isPlain && shape[3] === undefined) shape[3] = facts.width;
  const lengthAxis = isPlain && shape[1] === undefined && shape[2] !== undefined ? 1 : isPlain ? 2 : openAxis(shape);
  // The length of a cache is its own; that of the output counts the new tokens too.
  if (lengthAxis >= 0) shape[lengthAxis] = numberIn(dims[lengthAxis]) ?? facts.length;
  return shape.every((dim) => dim !== undefined) ? (shape as number[]) : undefined;
}

/** True when the width of a head has to come from somewhere else. */
export const lacksWidth = (dims: Port['dims'], output: Port['dims']): boolean =>
  dims?.length === 4 && numberIn(dims[3], output?.[3]) === undefined;

const numberIn = (...dims: readonly (number | string | undefined)[]): number | undefined =>
  dims.find((dim) => typeof dim === 'number') as number | undefined;

function openAxis(shape: readonly (number | undefined)[]): number {
  return shape.indexOf(undefined);
}
