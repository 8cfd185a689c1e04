/** Weights as other quantizers store them: where the codes, scales and zeros of each operator lie. */
import { type DType, elementCount } from '../onnx/ir/dtype.js';
import { intAttribute, type Node } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import type { Coded } from '../quant/coded.js';
import { constantOf } from './constants.js';

const FLOATS: ReadonlySet<DType> = new Set(['float32', 'float16', 'bfloat16']);

/** Width and sign of the types that codes have. */
const CODES: Partial<Record<DType, readonly [bits: 4 | 8 | 32, signed: boolean]>> = {
  uint4: [4, false],
  int4: [4, true],
  uint8: [8, false],
  int8: [8, true],
  int32: [32, true],
};

/** The constants in some slots; undefined where one is computed. Slots without an input are left out. */
function constantsOf(node: Node, slots: readonly number[]): readonly (Tensor | undefined)[] | undefined {
  const found = slots.map((slot) => constantOf(node.inputs[slot]));
  return slots.some((slot, at) => node.inputs[slot] !== undefined && found[at] === undefined) ? undefined : found;
}

/** DequantizeLinear-21. */
export function linearCodes(node: Node): Coded | undefined {
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
export function productCodes(node: Node): Coded | undefined {
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

/** QMoE: stacks [experts, N, K · bits / 8] with a scale a row or a block of it. */
export function expertCodes(node: Node, slot: number, zeroSlot: number): Coded | undefined {
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
export function tableCodes(node: Node): Coded | undefined {
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
