/**
 * Weights that another quantizer wrote, as float tensors.
 *
 * Matches: DequantizeLinear of constants (codes of 4, 8 and 32 bits; one scale, one a row or one a block); MatMulNBits with constant
 * codes of 2, 4 and 8 bits; QMoE with integer codes; GatherBlockQuantized with constant codes of 4 and 8 bits.
 * Becomes: a float initializer; a MatMul with its transpose, and an Add where there was a bias; MoE; a Gather. Numbers are computed when
 * they are read.
 * Why it is sound: the result of these operators is defined by the float tensor. MatMulNBits may compute with activations of 8 bits,
 * which a MatMul does not: its results are nearer to the definition.
 * Refuses when: codes, scales or zeros are computed, or of another type; MatMulNBits has an order of columns (`g_idx`); the result of a
 * DequantizeLinear is a graph output.
 */
import { constantOf } from '../src/analysis/constants.js';
import { keyOf } from '../src/analysis/operators.js';
import { ints } from '../src/onnx/ir/attribute.js';
import type { DType } from '../src/onnx/ir/dtype.js';
import { elementCount } from '../src/onnx/ir/dtype.js';
import { intAttribute, type Node, nodesOf, placeOf, stringAttribute, type Value } from '../src/onnx/ir/graph.js';
import type { Tensor } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';
import { type Coded, decodedTensor } from '../src/quant/coded.js';

export const dequantizeWeights: Pass<NoOptions> = definePass({
  name: 'dequantize-weights',
  summary: 'Makes float tensors of quantized weights.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    const made = new Map<Value, Value>();
    for (const node of [...nodesOf(rw.model.graph)]) RULES[keyOf(node)]?.(rw, node, made);
  },
});

/** Replaces a node; `made` has the float values by those of the codes, since branches share weights. */
type Rule = (rw: Rewriter, node: Node, made: Map<Value, Value>) => void;

const FLOATS: ReadonlySet<DType> = new Set(['float32', 'float16', 'bfloat16']);

/** Width and sign of the types that codes have. */
const CODES: Partial<Record<DType, readonly [bits: 4 | 8 | 32, signed: boolean]>> = {
  uint4: [4, false],
  int4: [4, true],
  uint8: [8, false],
  int8: [8, true],
  int32: [32, true],
};

const RULES: Readonly<Record<string, Rule>> = {
  DequantizeLinear(rw, node, made) {
    const [stored, output] = [node.inputs[0], node.outputs[0]];
    const coded = linearCodes(node);
    if (coded === undefined || stored === undefined || output === undefined || output.isOutput) return;
    rw.replaceUses(output, floatValue(rw, stored, coded, made));
    release(rw, node);
  },
  'com.microsoft::MatMulNBits'(rw, node, made) {
    const [x, stored] = node.inputs;
    const coded = productCodes(node);
    if (coded === undefined || x === undefined || stored === undefined) return;
    const name = placeOf(node);
    const weight = floatValue(rw, stored, coded, made);
    const turned = rw.insert(node, {
      op: 'Transpose',
      inputs: [weight],
      attributes: { perm: ints([1, 0]) },
      name: `${name}/Transpose`,
    });
    const bias = node.inputs[5];
    const product = { op: 'MatMul', inputs: [x, turned], name };
    const others = node.inputs.slice(1, 4);
    if (bias === undefined) rw.replaceNode(node, product);
    else rw.replaceNode(node, { op: 'Add', inputs: [rw.insert(node, product), bias], name: `${name}/Add` });
    for (const value of others) if (value !== undefined) rw.dropIfUnused(value);
  },
  'com.microsoft::QMoE'(rw, node, made) {
    const slots = [
      [2, 11],
      [5, 12],
      [8, 13],
    ] as const;
    const stacks = slots.map(([slot, zeros]) =>
      node.inputs[slot] === undefined ? undefined : expertCodes(node, slot, zeros),
    );
    const isWhole = slots.every(([slot], at) => (node.inputs[slot] === undefined) === (stacks[at] === undefined));
    if (!isWhole || stacks[0] === undefined || !isPlainMixture(node)) return;
    const floats = slots.flatMap(([slot], at) => {
      const [stored, coded] = [node.inputs[slot], stacks[at]];
      return [stored && coded && floatValue(rw, stored, coded, made), node.inputs[slot + 2]];
    });
    const old = [2, 3, 5, 6, 8, 9, 11, 12, 13].map((slot) => node.inputs[slot]);
    const attributes = Object.fromEntries([...node.attributes].filter(([name]) => !STORAGE.has(name)));
    const inputs = [...node.inputs.slice(0, 2), ...floats];
    rw.replaceNode(node, { op: 'MoE', domain: 'com.microsoft', inputs, attributes, name: placeOf(node) });
    for (const value of old) if (value !== undefined) rw.dropIfUnused(value);
  },
  'com.microsoft::GatherBlockQuantized'(rw, node, made) {
    const [stored, ids] = node.inputs;
    const coded = tableCodes(node);
    if (coded === undefined || stored === undefined || ids === undefined) return;
    const table = floatValue(rw, stored, coded, made);
    const others = [0, 2, 3].map((slot) => node.inputs[slot]);
    rw.replaceNode(node, { op: 'Gather', inputs: [table, ids], name: placeOf(node) });
    for (const value of others) if (value !== undefined) rw.dropIfUnused(value);
  },
};

function floatValue(rw: Rewriter, stored: Value, coded: Coded, made: Map<Value, Value>): Value {
  const found = made.get(stored) ?? rw.initializer(stored.graph, `${stored.name}.float`, decodedTensor(coded));
  made.set(stored, found);
  return found;
}

function release(rw: Rewriter, node: Node): void {
  const inputs = [...node.inputs];
  rw.erase(node);
  for (const value of inputs) if (value !== undefined) rw.dropIfUnused(value);
}

/** The constants in some slots; undefined where one is computed. Slots without an input are left out. */
function constantsOf(node: Node, slots: readonly number[]): readonly (Tensor | undefined)[] | undefined {
  const found = slots.map((slot) => constantOf(node.inputs[slot]));
  return slots.some((slot, at) => node.inputs[slot] !== undefined && found[at] === undefined) ? undefined : found;
}

/** DequantizeLinear-21. */
function linearCodes(node: Node): Coded | undefined {
  const [codes, scales, zeros] = constantsOf(node, [0, 1, 2]) ?? [];
  const type = codes && CODES[codes.dtype];
  if (codes === undefined || scales === undefined || type === undefined || !FLOATS.has(scales.dtype)) return undefined;
  const { shape } = codes;
  const count = elementCount(scales.shape);
  const places = linearScales(node, shape, count);
  if (places === undefined) return undefined;
  const [bits, signed] = type;
  const all = elementCount(shape);
  const stored = zeros && { tensor: zeros, bits, signed, rowCodes: count, rowScales: count };
  return { shape, codes, bits, signed, scales, ...places, zeros: stored, zero: 0, rowCodes: all, rowElements: all };
}

/** One scale for all, one for each index of an axis, or one a block along it. */
function linearScales(
  node: Node,
  shape: readonly number[],
  count: number,
): Pick<Coded, 'scaleAt' | 'scaleRange'> | undefined {
  if (count === 1) return { scaleAt: () => 0, scaleRange: () => [0, 1] };
  const axis = intAttribute(node, 'axis', 1);
  const at = axis < 0 ? axis + shape.length : axis;
  const [size, inner] = [shape[at] ?? 1, elementCount(shape.slice(at + 1))];
  const block = intAttribute(node, 'block_size', 0);
  if (block === 0) {
    const scaleAt = (element: number): number => Math.floor(element / inner) % size;
    const isInOrder = shape.slice(0, at).every((dim) => dim === 1);
    const ordered = rangeOf(scaleAt);
    return count === size ? { scaleAt, scaleRange: isInOrder ? ordered : () => [0, count] } : undefined;
  }
  const blocks = Math.ceil(size / block);
  if (count !== elementCount(shape.slice(0, at)) * blocks * inner) return undefined;
  const rowAt = (element: number): number => {
    const index = Math.floor(element / inner);
    return Math.floor(index / size) * blocks + Math.floor((index % size) / block);
  };
  return {
    scaleAt: (element) => rowAt(element) * inner + (element % inner),
    scaleRange: (from, to) => [rowAt(from) * inner, (rowAt(to - 1) + 1) * inner],
  };
}

/** Where scales come in the order of the elements. */
const rangeOf =
  (scaleAt: Coded['scaleAt']): Coded['scaleRange'] =>
  (from, to) => [scaleAt(from), scaleAt(to - 1) + 1];

/** MatMulNBits: rows of N, each padded to whole blocks, with zeros packed by row. */
function productCodes(node: Node): Coded | undefined {
  const [k, n] = [intAttribute(node, 'K', 0), intAttribute(node, 'N', 0)];
  const [bits, block] = [intAttribute(node, 'bits', 4), intAttribute(node, 'block_size', 0)];
  const [codes, scales, zeros] = constantsOf(node, [1, 2, 3]) ?? [];
  const isPlain = (bits === 2 || bits === 4 || bits === 8) && block > 0 && node.inputs[4] === undefined;
  if (!isPlain || codes === undefined || scales === undefined || !FLOATS.has(scales.dtype)) return undefined;
  const blocks = Math.ceil(k / block);
  if (codes.byteLength !== (n * blocks * block * bits) / 8 || elementCount(scales.shape) !== n * blocks)
    return undefined;
  const perByte = 8 / bits;
  const rowCodes = Math.ceil(blocks / perByte) * perByte;
  const scaleAt = (element: number): number => Math.floor(element / k) * blocks + Math.floor((element % k) / block);
  return {
    shape: [n, k],
    ...{ codes, bits, signed: false, scales, scaleAt, scaleRange: rangeOf(scaleAt) },
    zeros: zeros && { tensor: zeros, bits, signed: false, rowCodes, rowScales: blocks },
    ...{ zero: 1 << (bits - 1), rowCodes: blocks * block, rowElements: k },
  };
}

/** Attributes of QMoE that say how its weights are stored. */
const STORAGE: ReadonlySet<string> = new Set([
  'expert_weight_bits',
  'block_size',
  'quant_type',
  'weights_prepacked',
  'accuracy_level',
]);

/** Integer codes of one width in the layout of the specification, and one tensor of the router. */
function isPlainMixture(node: Node): boolean {
  const isRaw = intAttribute(node, 'weights_prepacked', -1) < 1 && stringAttribute(node, 'quant_type', 'int') === 'int';
  return isRaw && node.inputs[14] === undefined && ![...node.attributes.keys()].some((name) => /^fc\d/.test(name));
}

/** QMoE: stacks [experts, N, K · bits / 8] with a scale a row or a block of it. */
function expertCodes(node: Node, slot: number, zeroSlot: number): Coded | undefined {
  const [codes, scales, zeros] = constantsOf(node, [slot, slot + 1, zeroSlot]) ?? [];
  const [bits, block] = [intAttribute(node, 'expert_weight_bits', 4), intAttribute(node, 'block_size', 0)];
  if (codes?.shape.length !== 3 || scales === undefined || !FLOATS.has(scales.dtype)) return undefined;
  if (bits !== 2 && bits !== 4 && bits !== 8) return undefined;
  const [experts = 0, n = 0, stored = 0] = codes.shape;
  const k = (stored * 8) / bits;
  const blocks = block === 0 ? 1 : Math.ceil(k / block);
  if (elementCount(scales.shape) !== experts * n * blocks) return undefined;
  const scaleAt = (element: number): number =>
    Math.floor(element / k) * blocks + Math.floor((element % k) / (block === 0 ? k : block));
  const rowScales = block === 0 ? n : blocks;
  const rowCodes = Math.ceil((rowScales * bits) / 8) * (8 / bits);
  return {
    shape: [experts, n, k],
    ...{ codes, bits, signed: false, scales, scaleAt, scaleRange: rangeOf(scaleAt) },
    zeros: zeros && { tensor: zeros, bits, signed: false, rowCodes, rowScales },
    ...{ zero: 1 << (bits - 1), rowCodes: k, rowElements: k },
  };
}

/** GatherBlockQuantized of rows, with blocks along the last dimension. */
function tableCodes(node: Node): Coded | undefined {
  const [codes, scales, zeros] = constantsOf(node, [0, 2, 3]) ?? [];
  const type = codes && CODES[codes.dtype];
  if (codes?.shape.length !== 2 || scales === undefined || type === undefined || !FLOATS.has(scales.dtype))
    return undefined;
  const isPacked = codes.dtype === 'uint8';
  const bits = isPacked ? intAttribute(node, 'bits', 4) : type[0];
  const [rows = 0, stored = 0] = codes.shape;
  const columns = isPacked ? (stored * 8) / bits : stored;
  const block = intAttribute(node, 'block_size', 128);
  const isPlain =
    intAttribute(node, 'gather_axis', 0) === 0 && [1, -1].includes(intAttribute(node, 'quantize_axis', 1));
  if (!isPlain || (bits !== 4 && bits !== 8)) return undefined;
  const blocks = Math.ceil(columns / block);
  if (elementCount(scales.shape) !== rows * blocks) return undefined;
  const signed = type[1];
  // Zeros have the type of the codes; packed in bytes, each row of them begins a byte.
  const rowCodes = isPacked ? Math.ceil((blocks * bits) / 8) * (8 / bits) : blocks;
  const scaleAt = (element: number): number =>
    Math.floor(element / columns) * blocks + Math.floor((element % columns) / block);
  return {
    shape: [rows, columns],
    ...{ codes, bits, signed, scales, scaleAt, scaleRange: rangeOf(scaleAt) },
    zeros: zeros && { tensor: zeros, bits, signed, rowCodes, rowScales: blocks },
    ...{ zero: isPacked ? 1 << (bits - 1) : 0, rowCodes: columns, rowElements: columns },
  };
}
