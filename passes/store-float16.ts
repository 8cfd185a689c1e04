/**
 * Float tensors at half their size in the file.
 *
 * Matches: float32 initializers of rank 1 and more from a threshold on: embeddings, attention weights, normalizations.
 * Becomes: the same initializer as float16, and one Cast to float32 behind it for all its readers, those in branches too. A table
 * that is only gathered from stays as it is in memory: the Cast goes behind each Gather.
 * Why it is sound: nothing computes in float16. ONNX Runtime folds the Cast when a session is made, so kernels see float32
 * weights, each within 2^-11 of its value (rows within 2^-11 of their norm, see `quant/half-storage.ts`).
 * Refuses when: a value would be lost; the tensor is interface (an overridable input, an output of any graph); an angle is made
 * from it (frequencies of a rotation are multiplied by positions: 2^-11 of 2048 is a radian); a quantized operator reads it.
 */
import { z } from 'zod';
import { anglesOf } from '../src/analysis/angles.js';
import { isOverridable } from '../src/analysis/constants.js';
import { keyOf } from '../src/analysis/operators.js';
import { int } from '../src/onnx/ir/attribute.js';
import { DTYPES } from '../src/onnx/ir/dtype.js';
import { graphsOf, isOp, type Model, type Node, placeOf, type Value } from '../src/onnx/ir/graph.js';
import { asHalf, lossAsHalf } from '../src/onnx/ir/half-storage.js';
import type { Tensor } from '../src/onnx/ir/tensor.js';
import { definePass, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { failed, type Match, matched } from '../src/onnx/rewrite/match.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

export interface StoreFloat16Options {
  readonly threshold: number;
}

const options: z.ZodType<StoreFloat16Options> = z.strictObject({
  threshold: z.int().min(0).default(1024).describe('Smallest tensor in bytes of float32 that is stored as float16.'),
});

/** Given values, only these are stored as float16. */
export type StoreOnly = ReadonlySet<Value> | undefined;

export const storeFloat16: Pass<StoreFloat16Options, StoreOnly> = definePass<StoreFloat16Options, StoreOnly>({
  name: 'store-float16',
  summary: 'Stores large float32 tensors as float16 and casts them back when the model is loaded.',
  options,
  keeps: 'values',
  run: (rw, { threshold }, only) => {
    const storages = new WeakMap<object, object>();
    for (const match of float16Candidates(rw.model, threshold)) {
      if (match.ok && only?.has(match.bound) !== false) store(rw, match.bound, storages);
    }
  },
});

/** Every float32 initializer from `threshold` bytes on: what will be stored as float16, and why the others will not. */
export function float16Candidates(model: Model, threshold: number): readonly Match<Value>[] {
  const angles = anglesOf(model);
  return [...graphsOf(model.graph)].flatMap(({ initializers }) =>
    [...initializers].flatMap((value) => {
      const tensor = value.initializer;
      if (tensor?.dtype !== 'float32' || tensor.shape.length === 0 || tensor.byteLength < threshold) return [];
      const reason = bindingOf(value, model) ?? (angles.has(value) ? 'an angle is made from it' : lossAsHalf(tensor));
      return [reason === undefined ? matched(value) : failed(value.name, reason)];
    }),
  );
}

const TO_FLOAT32 = { to: int(DTYPES.float32.onnx) };

/** Operators whose tables must stay what their codes were made for. */
const QUANTIZED = /Quantize|Integer|QLinear|NBits|Bnb4|::Q[A-Z]/;

/** Why the type of a value is fixed by its surroundings, or undefined. */
function bindingOf(value: Value, model: Model): string | undefined {
  if (value.isOutput) return 'it is an output';
  if (isOverridable(value, model.irVersion)) return 'a caller may replace it';
  if (value.isInput) return 'it is also an input';
  const reader = [...value.uses].find(({ node }) => QUANTIZED.test(keyOf(node)));
  return reader && `the quantized operator ${reader.node.op} reads it`;
}

/** Exchanges the tensor and casts what its readers get. Tensors that shared their bytes go on sharing them. */
function store(rw: Rewriter, value: Value, storages: WeakMap<object, object>): void {
  const tensor = value.initializer as Tensor;
  const storage = storages.get(tensor.storage) ?? {};
  storages.set(tensor.storage, storage);
  const readers = [...value.uses];
  rw.setTensor(value, asHalf(tensor, storage));
  if (readers.every(({ node, slot }) => isOp(node, 'Gather') && slot === 0)) {
    for (const { node } of readers) castRows(rw, node);
    return;
  }
  const first = value.graph.nodes[0] as Node;
  const types = [{ dtype: 'float32', shape: tensor.shape }] as const;
  const cast = rw.insert(first, {
    op: 'Cast',
    inputs: [value],
    attributes: TO_FLOAT32,
    name: `${value.name}/float32`,
    types,
  });
  for (const { node, slot } of readers) rw.replaceInput(node, slot, cast);
}

/** Gathers in float16; the Cast makes the values that the Gather made. A table of rows is mapped by the runtime, not copied. */
function castRows(rw: Rewriter, gather: Node): void {
  const name = placeOf(gather);
  const inputs = [...gather.inputs];
  const rows = rw.insert(gather, { op: 'Gather', inputs, attributes: Object.fromEntries(gather.attributes), name });
  rw.replaceNode(gather, { op: 'Cast', inputs: [rows], attributes: TO_FLOAT32, name: `${name}/float32` });
}
