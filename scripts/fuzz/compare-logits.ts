/**
 * Is an int8 model what int8 can be? Its logits and those of its source are compared on the same feeds. What rounding explains is
 * computed beside it: the source with the same weights rounded to 8 bits by the plainest rule, in ONNX Runtime.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { float16ToFloat32 } from '../../src/onnx/ir/half.js';
import { decode, encode, MODEL, type ModelProto, type NodeProto } from '../../src/onnx/proto/messages.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds } from '../../src/runtime/feeds.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { HostTensor } from '../../src/runtime/runtime.js';
import { type Logits, SOME_IDS } from '../levels/logits.js';
import type { Ended } from './kinds.js';
import { changed } from './mutate-weights.js';

/** Times the divergence of plain rounding that a compiled model may have, and what is allowed whatever that is (nats). */
const FACTOR = 30;
const FLOOR = 0.002;
/** Allowed where the weights cannot be rounded here, because they are not plain float32 initializers. */
const UNEXPLAINED = 0.5;

/** Compares `candidate` with `source`, whose quantized products are `nodes`, rounded in blocks of `block` columns. */
export async function compareLogits(
  source: string,
  candidate: string,
  nodes: readonly string[],
  block: number,
): Promise<Ended> {
  const wanted = await logitsOf(source).catch(() => undefined);
  // A source that ONNX Runtime refuses, or that gives no numbers, cannot be compared with.
  if (wanted === undefined || !wanted.values.every(Number.isFinite)) return {};
  const got = await logitsOf(candidate).catch((error: Error) => error.message);
  if (typeof got === 'string') return { wrong: `the source runs and int8 does not: ${got}` };
  if (!got.values.every(Number.isFinite)) return { wrong: 'logits that are not finite' };
  const rounded = roundedCopy(source, nodes, block);
  const explained = rounded === undefined ? undefined : await logitsOf(rounded).catch(() => undefined);
  const limit = explained === undefined ? UNEXPLAINED : FLOOR + FACTOR * divergence(wanted, explained);
  const kl = divergence(wanted, got);
  if (kl <= limit) return { kl, limit };
  return { kl, limit, wrong: `KL ${kl.toPrecision(3)}, plain rounding explains ${limit.toPrecision(3)}` };
}

async function logitsOf(path: string): Promise<Logits> {
  const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
  try {
    const limit = decoder.vocabulary ?? Number.POSITIVE_INFINITY;
    const feeds = promptFeeds(
      decoder,
      SOME_IDS.map((id) => id % limit),
    );
    const { [decoder.logits.name]: logits } = await decoder.session.run(feeds, [decoder.logits.name]);
    const { data, dtype, dims } = logits as HostTensor;
    const values = dtype === 'float16' ? float16ToFloat32(data as Uint16Array) : (data as Float32Array);
    return { values, width: dims.at(-1) ?? 1 };
  } finally {
    await decoder.session.close();
  }
}

/** Mean KL(a ‖ b) over positions, in nats; float64 sums. */
export function divergence(a: Logits, b: Logits): number {
  if (a.values.length !== b.values.length) return Number.POSITIVE_INFINITY;
  const rows = a.values.length / a.width;
  let total = 0;
  for (let row = 0; row < rows; row++) {
    const [p, q] = [a, b].map(({ values }) => logSoftmax(values.subarray(row * a.width, (row + 1) * a.width)));
    for (let at = 0; at < a.width; at++)
      total += Math.exp(p?.[at] as number) * ((p?.[at] as number) - (q?.[at] as number));
  }
  return Math.max(0, total / rows);
}

function logSoftmax(row: Float32Array): Float64Array {
  const largest = row.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
  return Float64Array.from(row, (value) => value - largest - Math.log(sum));
}

/** Writes the source with rounded weights beside it, or gives undefined when not every weight can be found. */
function roundedCopy(source: string, nodes: readonly string[], block: number): string | undefined {
  const model = decode(MODEL, readFileSync(source)) as ModelProto;
  const folder = dirname(source);
  const data = readIfThere(join(folder, 'model.onnx.data'));
  try {
    for (const name of nodes) roundNode(model, name, block, data);
  } catch {
    return undefined;
  }
  // External data is named by the model, so the copy takes the place of the original in a folder of its own name.
  if (data !== undefined) {
    renameLocations(model);
    writeFileSync(join(folder, 'rounded.onnx.data'), data);
  }
  const path = join(folder, 'rounded.onnx');
  writeFileSync(path, encode(MODEL, model));
  return path;
}

const readIfThere = (path: string): Uint8Array | undefined => {
  try {
    return new Uint8Array(readFileSync(path));
  } catch {
    return undefined;
  }
};

function roundNode(model: ModelProto, name: string, block: number, data: Uint8Array | undefined): void {
  const named = model.graph?.node?.filter((node) => node.name === name) ?? [];
  const [node] = named as [NodeProto];
  if (named.length !== 1 || name === '') throw new RangeError('the node is not named by itself');
  const tensor = model.graph?.initializer?.find((each) => each.name === node.input?.[1]);
  if (tensor === undefined || tensor.dataType !== 1 || tensor.dims?.length !== 2)
    throw new RangeError('no plain weight');
  const transposed =
    node.opType === 'Gemm' && node.attribute?.some((each) => each.name === 'transB' && Number(each.i) === 1);
  const [first, second] = tensor.dims.map(Number) as [number, number];
  const [k, n, stepK, stepN] = transposed ? [second, first, 1, second] : [first, second, second, 1];
  changed(tensor, data, (values) => {
    for (let row = 0; row < n; row++)
      for (let start = 0; start < k; start += block)
        roundBlock(values, row * stepN + start * stepK, stepK, Math.min(block, k - start));
  });
}

/** Rounds to 256 even steps between the smallest and the largest value (and zero). */
function roundBlock(values: Float32Array, start: number, step: number, count: number): void {
  let [low, high] = [0, 0];
  for (let at = 0; at < count; at++) {
    low = Math.min(low, values[start + at * step] as number);
    high = Math.max(high, values[start + at * step] as number);
  }
  const scale = (high - low) / 255;
  if (scale === 0) return;
  for (let at = 0; at < count; at++) {
    const index = start + at * step;
    values[index] = Math.round((values[index] as number) / scale) * scale;
  }
}

function renameLocations(model: ModelProto): void {
  for (const { externalData } of model.graph?.initializer ?? [])
    for (const entry of externalData ?? []) if (entry.key === 'location') entry.value = 'rounded.onnx.data';
}
