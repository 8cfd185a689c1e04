/** Constant weights that another quantizer wrote, as the operators that read them define their codes, scales and zeros. */
import { type DType, elementCount } from '../onnx/ir/dtype.js';
import { intAttribute, type Node, stringAttribute } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import type { Coded, Zeros } from '../quant/coded.js';
import { constantOf } from './constants.js';
import { WEIGHT_FLOATS } from './weights.js';

/** Width and sign of the types that codes have. */
const CODES: Partial<Record<DType, readonly [bits: 4 | 8 | 32, signed: boolean]>> = {
  uint4: [4, false],
  int4: [4, true],
  uint8: [8, false],
  int8: [8, true],
  int32: [32, true],
};

/** Which scale each element has. */
type Scaling = Pick<Coded, 'grouping' | 'scaleAt' | 'scaleRange'>;

/** Codes with the tensors that belong to them, all constant and none a graph input. */
interface Parts {
  readonly codes: Tensor;
  /** float32, float16 or bfloat16. */
  readonly scales: Tensor;
  readonly zeros: Tensor | undefined;
}

/** The constants in three slots; undefined where one is computed, may be fed by a caller, or scales are not float. */
function partsOf(node: Node, slots: readonly [codes: number, scales: number, zeros: number]): Parts | undefined {
  const found = slots.map((slot) => (node.inputs[slot]?.isInput ? undefined : constantOf(node.inputs[slot])));
  if (slots.some((slot, at) => node.inputs[slot] !== undefined && found[at] === undefined)) return undefined;
  const [codes, scales, zeros] = found;
  return codes === undefined || scales === undefined || !WEIGHT_FLOATS.has(scales.dtype)
    ? undefined
    : { codes, scales, zeros };
}

/** Whether zeros are there for `rows` rows of scales: packed codes of the type of `codes`, or one float per scale. */
function areWhole(zeros: Zeros | undefined, { codes, scales }: Parts, rows: number): boolean {
  if (zeros === undefined) return true;
  const { tensor, bits, rowCodes, rowScales } = zeros;
  if (tensor.dtype === scales.dtype) return elementCount(tensor.shape) === rows * rowScales;
  return tensor.dtype === codes.dtype && tensor.byteLength === Math.ceil((rows * rowCodes * bits) / 8);
}

/** DequantizeLinear-21 to 23: one scale, one per index of an axis, or one per block along it. Undefined for any other form. */
export function linearCodes(node: Node): Coded | undefined {
  const parts = partsOf(node, [0, 1, 2]);
  const type = parts && CODES[parts.codes.dtype];
  // From operator set 23 on the result may have another type than the scales.
  if (parts === undefined || type === undefined || intAttribute(node, 'output_dtype', 0) !== 0) return undefined;
  const { codes, scales } = parts;
  const { shape } = codes;
  const count = elementCount(scales.shape);
  const places = linearScales(node, shape, count);
  const [bits, signed] = type;
  const zeros = parts.zeros && { tensor: parts.zeros, bits, signed, rowCodes: count, rowScales: count };
  if (places === undefined || !areWhole(zeros, parts, 1)) return undefined;
  const all = elementCount(shape);
  return { shape, codes, bits, signed, scales, ...places, zeros, zero: 0, rowCodes: all, rowElements: all };
}

function linearScales(node: Node, shape: readonly number[], count: number): Scaling | undefined {
  if (count === 1) return { grouping: 'one', scaleAt: () => 0, scaleRange: () => [0, 1] };
  const axis = intAttribute(node, 'axis', 1);
  const at = axis < 0 ? axis + shape.length : axis;
  const size = shape[at];
  if (size === undefined) return undefined;
  const inner = elementCount(shape.slice(at + 1));
  const block = intAttribute(node, 'block_size', 0);
  if (block === 0) {
    const scaleAt = (element: number): number => Math.floor(element / inner) % size;
    const isInOrder = shape.slice(0, at).every((dim) => dim === 1);
    const ordered = rangeOf(scaleAt);
    const scaleRange = isInOrder ? ordered : (): readonly [number, number] => [0, count];
    return count === size ? { grouping: `axis ${at}`, scaleAt, scaleRange } : undefined;
  }
  const blocks = Math.ceil(size / block);
  if (count !== elementCount(shape.slice(0, at)) * blocks * inner) return undefined;
  const rowAt = (element: number): number => {
    const index = Math.floor(element / inner);
    return Math.floor(index / size) * blocks + Math.floor((index % size) / block);
  };
  return {
    grouping: `axis ${at} in blocks of ${block}`,
    scaleAt: (element) => rowAt(element) * inner + (element % inner),
    scaleRange: (from, to) => [rowAt(from) * inner, (rowAt(to - 1) + 1) * inner],
  };
}

/** Where scales come in the order of the elements. */
const rangeOf =
  (scaleAt: Coded['scaleAt']): Coded['scaleRange'] =>
  (from, to) => [scaleAt(from), scaleAt(to - 1) + 1];

/** Scales of rows of `columns` elements, `blocks` for each row. */
function blockScales(columns: number, block: number, blocks: number): Scaling {
  const scaleAt = (element: number): number =>
    Math.floor(element / columns) * blocks + Math.floor((element % columns) / block);
  return { grouping: `rows in blocks of ${block}`, scaleAt, scaleRange: rangeOf(scaleAt) };
}

/** `count` codes rounded up to whole bytes. */
const wholeBytes = (count: number, bits: number): number => Math.ceil((count * bits) / 8) * (8 / bits);

type PackedBits = 2 | 4 | 8;
const isPackedBits = (bits: number): bits is PackedBits => bits === 2 || bits === 4 || bits === 8;
/** A block takes whole bytes. */
const isBlock = (block: number, bits: PackedBits): boolean => block > 0 && (block * bits) % 8 === 0;

/** MatMulNBits: rows of N, each padded to whole blocks, with zeros packed by row. Undefined for any other form. */
export function productCodes(node: Node): Coded | undefined {
  const parts = partsOf(node, [1, 2, 3]);
  const [k, n] = [intAttribute(node, 'K', 0), intAttribute(node, 'N', 0)];
  const [bits, block] = [intAttribute(node, 'bits', 4), intAttribute(node, 'block_size', 0)];
  const isPlain = node.inputs[4] === undefined && intAttribute(node, 'weight_prepacked', 0) === 0;
  if (parts?.codes.dtype !== 'uint8' || !isPlain || !isPackedBits(bits) || !isBlock(block, bits)) return undefined;
  const { codes, scales } = parts;
  const blocks = Math.ceil(k / block);
  if (k < 1 || n < 1 || codes.byteLength !== (n * blocks * block * bits) / 8) return undefined;
  const rowCodes = wholeBytes(blocks, bits);
  const zeros = parts.zeros && { tensor: parts.zeros, bits, signed: false, rowCodes, rowScales: blocks };
  if (elementCount(scales.shape) !== n * blocks || !areWhole(zeros, parts, n)) return undefined;
  return {
    shape: [n, k],
    ...{ codes, bits, signed: false, scales, ...blockScales(k, block, blocks) },
    ...{ zeros, zero: 1 << (bits - 1), rowCodes: blocks * block, rowElements: k },
  };
}

/** True for a QMoE with integer codes of one width in the layout of the specification, and one tensor of the router. */
export function isPlainMixture(node: Node): boolean {
  const isRaw = intAttribute(node, 'weights_prepacked', -1) < 1 && stringAttribute(node, 'quant_type', 'int') === 'int';
  return isRaw && node.inputs[14] === undefined && ![...node.attributes.keys()].some((name) => /^fc\d/.test(name));
}

/**
 * QMoE: stacks [experts, N, K · bits / 8] with one scale per row or per block of it, of the type of the node's input. Undefined for any other
 * form.
 */
export function expertCodes(node: Node, slot: number, zeroSlot: number): Coded | undefined {
  const parts = partsOf(node, [slot, slot + 1, zeroSlot]);
  const [bits, block] = [intAttribute(node, 'expert_weight_bits', 4), intAttribute(node, 'block_size', 0)];
  if (parts?.codes.dtype !== 'uint8' || parts.codes.shape.length !== 3 || !isPackedBits(bits)) return undefined;
  const { codes, scales } = parts;
  const [experts = 0, n = 0, stored = 0] = codes.shape;
  const k = (stored * 8) / bits;
  const blocks = block === 0 ? 1 : Math.ceil(k / block);
  const rowScales = block === 0 ? n : blocks;
  const rowCodes = wholeBytes(rowScales, bits);
  const zeros = parts.zeros && { tensor: parts.zeros, bits, signed: false, rowCodes, rowScales };
  const type = node.inputs[0]?.type?.dtype;
  const isWhole =
    elementCount(scales.shape) === experts * n * blocks && areWhole(zeros, parts, block === 0 ? experts : experts * n);
  if (!isWhole || k < 1 || (type !== undefined && type !== scales.dtype)) return undefined;
  return {
    shape: [experts, n, k],
    ...{ codes, bits, signed: false, scales, ...blockScales(k, block === 0 ? k : block, blocks) },
    ...{ zeros, zero: 1 << (bits - 1), rowCodes: k, rowElements: k },
  };
}

/** GatherBlockQuantized of rows, with blocks along the last dimension. Undefined for any other form. */
export function tableCodes(node: Node): Coded | undefined {
  const parts = partsOf(node, [0, 2, 3]);
  const type = parts && CODES[parts.codes.dtype];
  if (parts?.codes.shape.length !== 2 || type === undefined) return undefined;
  const { codes, scales } = parts;
  const isPacked = codes.dtype === 'uint8';
  const [bits, signed] = [isPacked ? intAttribute(node, 'bits', 4) : type[0], type[1]];
  const isPlain =
    intAttribute(node, 'gather_axis', 0) === 0 && [1, -1].includes(intAttribute(node, 'quantize_axis', 1));
  if (!isPlain || (bits !== 4 && bits !== 8)) return undefined;
  const [rows = 0, stored = 0] = codes.shape;
  const columns = isPacked ? (stored * 8) / bits : stored;
  const block = intAttribute(node, 'block_size', 128);
  const blocks = Math.ceil(columns / block);
  // Zeros have the type of the codes; packed in bytes, each row of them begins a byte.
  const rowCodes = isPacked ? wholeBytes(blocks, bits) : blocks;
  const zeros = parts.zeros && { tensor: parts.zeros, bits, signed, rowCodes, rowScales: blocks };
  if (elementCount(scales.shape) !== rows * blocks || !areWhole(zeros, parts, rows)) return undefined;
  return {
    shape: [rows, columns],
    ...{ codes, bits, signed, scales, ...blockScales(columns, block, blocks) },
    ...{ zeros, zero: isPacked ? 1 << (bits - 1) : 0, rowCodes: columns, rowElements: columns },
  };
}
