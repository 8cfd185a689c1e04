/** Mutations of a model's weights that leave it valid: most such models compile, so that their logits can be compared. */
import type { GraphProto, ModelProto, TensorProto } from '../../src/onnx/proto/messages.js';
import { decode, encode, MODEL } from '../../src/onnx/proto/messages.js';
import type { Random } from '../../src/random.js';
import type { Files } from './kinds.js';
import { mutateBytes, pick } from './mutate-bytes.js';

const FLOAT = 1;

type Rule = (values: Float32Array, random: Random, dims: readonly number[]) => void;

const RULES: Readonly<Record<string, Rule>> = {
  scale: (values, random) => {
    const factor = 10 ** (random.integer(7) - 3);
    for (let at = 0; at < values.length; at++) values[at] = (values[at] as number) * factor;
  },
  outlier: (values, random) => {
    values[random.integer(values.length)] = pick([-1, 1], random) * 10 ** (random.integer(5) - 1);
  },
  row: (values, random, dims) => {
    const width = dims.at(-1) ?? 1;
    const start = random.integer(Math.max(1, values.length / width)) * width;
    const factor = pick([0, 1e-6, 30, -1], random);
    for (let at = start; at < start + width && at < values.length; at++) values[at] = (values[at] as number) * factor;
  },
  zero: (values) => {
    values.fill(0);
  },
  constant: (values, random) => {
    values.fill(pick([0.01, -0.02, 1e-30, -0], random));
  },
  tiny: (values) => {
    for (let at = 0; at < values.length; at++) values[at] = (values[at] as number) * 1e-38;
  },
  sparse: (values, random) => {
    for (let at = 0; at < values.length; at++) if (random.uniform() < 0.9) values[at] = 0;
  },
  'not finite': (values, random) => {
    values[random.integer(values.length)] = pick([Number.NaN, Number.POSITIVE_INFINITY], random);
  },
  shift: (values, random) => {
    const by = 0.05 * random.normal();
    for (let at = 0; at < values.length; at++) values[at] = (values[at] as number) + by;
  },
};

/** One to three tensors changed by a rule each, or the data file changed as bytes. */
export function mutateWeights(files: Files, random: Random): { readonly note: string; readonly files: Files } {
  const data = files['model.onnx.data'];
  if (data !== undefined && random.uniform() < 0.2) {
    const { note, bytes } = mutateBytes(data, random);
    return { note: `data ${note}`, files: { 'model.onnx.data': bytes } };
  }
  const model = decode(MODEL, files['model.onnx'] as Uint8Array) as ModelProto;
  const copy = data && Uint8Array.from(data);
  const tensors = (model.graph as GraphProto).initializer?.filter(isWeight) ?? [];
  const notes: string[] = [];
  for (let left = 1 + random.integer(3); left > 0; left--) {
    const [name, rule] = pick(Object.entries(RULES), random);
    const tensor = pick(tensors, random);
    changed(tensor, copy, (values) => rule(values, random, (tensor.dims ?? []).map(Number)));
    notes.push(name);
  }
  const note = `weights:${notes.join(', ')}`;
  return { note, files: { 'model.onnx': encode(MODEL, model), ...(copy && { 'model.onnx.data': copy }) } };
}

const isWeight = (tensor: TensorProto): boolean =>
  tensor.dataType === FLOAT && (tensor.dims ?? []).length >= 1 && byteLength(tensor) >= 128;

const byteLength = ({ dims }: TensorProto): number => 4 * (dims ?? []).reduce((sum, dim) => sum * Number(dim), 1);

/** Calls `change` with the values of a float32 tensor, in `raw_data` or in the data file, and writes them back. */
export function changed(
  tensor: TensorProto,
  data: Uint8Array | undefined,
  change: (values: Float32Array) => void,
): void {
  const entry = (key: string): string | undefined => tensor.externalData?.find((each) => each.key === key)?.value;
  const inFile = tensor.dataLocation === 1;
  const start = inFile ? Number(entry('offset') ?? 0) : 0;
  const bytes = inFile ? data?.subarray(start, start + byteLength(tensor)) : tensor.rawData;
  if (bytes === undefined || bytes.length !== byteLength(tensor))
    throw new RangeError('a tensor does not hold its values');
  const copy = Uint8Array.from(bytes);
  const values = new Float32Array(copy.buffer);
  change(values);
  if (inFile) bytes.set(copy);
  else tensor.rawData = copy;
}
