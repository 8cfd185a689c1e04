/** Logits of a model at each optimization level of ONNX Runtime, on the same feeds. */
import ort from 'onnxruntime-node';
import { float16ToFloat32 } from '../../src/onnx/ir/half.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds } from '../../src/runtime/feeds.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { Feeds, HostTensor } from '../../src/runtime/runtime.js';

export const LEVELS = ['disabled', 'basic', 'extended', 'all'] as const;
type Level = (typeof LEVELS)[number];

/** Logits of all positions, row by row. */
export interface Logits {
  readonly values: Float32Array;
  readonly width: number;
}

/** A text of ids that every vocabulary here has. */
export const SOME_IDS: readonly number[] = [1, 17, 300, 5, 42, 999, 7, 7, 256, 1023, 4, 12];

/** Runs the model at `path` at one level. The session that understands its inputs is another one. */
export async function logitsAt(
  path: string,
  level: Level,
  ids: readonly number[] = SOME_IDS,
  accuracyLevel: 0 | 4 = 4,
): Promise<Logits> {
  const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
  const feeds = promptFeeds(decoder, ids);
  const { name } = decoder.logits;
  await decoder.session.close();
  const session = await ort.InferenceSession.create(path, {
    executionProviders: ['cpu'],
    graphOptimizationLevel: level,
    intraOpNumThreads: 1,
    logSeverityLevel: 4,
    // What the runtime takes when it makes a quantized product of DequantizeLinear and MatMul itself.
    extra: { session: { qdq_matmulnbits_accuracy_level: String(accuracyLevel) } },
  });
  try {
    const { [name]: logits } = await session.run(tensorsOf(feeds), [name]);
    const { data, dims, type } = logits as ort.Tensor;
    const half = type === 'float16';
    const values = half ? float16ToFloat32(bitsOf(data as Uint16Array)) : Float32Array.from(data as Float32Array);
    return { values, width: dims.at(-1) ?? 1 };
  } finally {
    await session.release();
  }
}

const bitsOf = ({ buffer, byteOffset, length }: Uint16Array): Uint16Array =>
  new Uint16Array(buffer as ArrayBuffer, byteOffset, length);

function tensorsOf(feeds: Feeds): Record<string, ort.Tensor> {
  const entry = ([name, { dtype, data, dims }]: [string, HostTensor]): [string, ort.Tensor] => [
    name,
    new ort.Tensor(dtype as 'float32', data as Float32Array, dims),
  ];
  return Object.fromEntries(Object.entries(feeds).map(entry));
}

/** The largest difference of any two, as a share of the largest logit; infinite when one is no number. */
export function largestDifference(all: readonly Logits[]): number {
  const [first, ...others] = all;
  if (first === undefined) return 0;
  const largest = first.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  let most = 0;
  for (const { values } of others) {
    if (values.length !== first.values.length) return Number.POSITIVE_INFINITY;
    for (let at = 0; at < values.length; at++) {
      const difference = Math.abs((values[at] as number) - (first.values[at] as number));
      if (!Number.isFinite(difference)) return Number.POSITIVE_INFINITY;
      most = Math.max(most, difference);
    }
  }
  return most / largest;
}
