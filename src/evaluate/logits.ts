/** Logits of one window as a runtime gives them out: rows of float32, or bit patterns of half precision widened row by row. */
import { fail } from '../diagnostics.js';
import { bfloat16ToFloat32, float16ToFloat32 } from '../onnx/ir/half.js';
import type { Decoder } from '../runtime/decoder.js';
import { promptFeeds } from '../runtime/feeds.js';
import type { HostTensor } from '../runtime/runtime.js';

export interface Logits {
  /** Rows: positions of the text. */
  readonly positions: number;
  readonly vocabulary: number;
  /** Row `position` as float32; a view of float32 logits. */
  row(position: number): Float32Array;
}

/** The rows of the first text of a logits tensor [batch, n, vocabulary] of `at`, which was given `batch` texts. */
export function logitsOf({ dtype, dims, data }: HostTensor, at: string, batch = 1): Logits {
  const [positions, vocabulary] = dims.slice(-2);
  if (dims.length !== 3 || dims[0] !== batch || positions === undefined || vocabulary === undefined) {
    return fail('unsupported-model', at, `The logits have the shape [${dims}], not [${batch}, length, vocabulary]`);
  }
  const part = (position: number) => data.subarray(position * vocabulary, (position + 1) * vocabulary);
  if (dtype === 'float32') return { positions, vocabulary, row: (position) => part(position) as Float32Array };
  if (dtype === 'float16')
    return { positions, vocabulary, row: (position) => float16ToFloat32(part(position) as Uint16Array) };
  if (dtype === 'bfloat16')
    return { positions, vocabulary, row: (position) => bfloat16ToFloat32(part(position) as Uint16Array) };
  return fail('unsupported-model', at, `The logits have the type ${dtype}`);
}

/** The logits of one window from an empty cache. */
export async function logitsFor(decoder: Decoder, ids: ArrayLike<number>): Promise<Logits> {
  const { session, logits, batch } = decoder;
  const outputs = await session.run(promptFeeds(decoder, ids), [logits.name]);
  return logitsOf(outputs[logits.name] as HostTensor, session.at, batch);
}

/** The same numbers in memory of their own: outputs of a session may live in memory that the next run takes. */
export function copyLogits(logits: Logits): Logits {
  const { positions, vocabulary } = logits;
  const data = new Float32Array(positions * vocabulary);
  for (let position = 0; position < positions; position++) data.set(logits.row(position), position * vocabulary);
  return {
    positions,
    vocabulary,
    row: (position) => data.subarray(position * vocabulary, (position + 1) * vocabulary),
  };
}
