/** Stored tables to the values that MatMulNBits and the block-sum term read, as operators on constants folded at load. */
import { int, ints } from '../onnx/ir/attribute.js';
import type { DType } from '../onnx/ir/dtype.js';
import type { Node, Value } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import { SUPER_BLOCK } from '../quant/compress.js';
import {
  type ColumnPlace,
  type ProjectionPlace,
  placeBlocks,
  type SetLayout,
  type TablePlace,
  tableAt,
} from '../quant/layout.js';
import { containerBits, type Precision } from '../quant/precision.js';
import { decodeConstants } from '../quant/slice.js';
import type { Emitter } from './emitter.js';
import type { RangeTensor } from './join.js';

/** What a product needs beside its codes. */
export interface TableValues {
  /** [n, blocks] in the element type of the product. */
  scale(dtype: 'float32' | 'float16'): Value;
  /** uint8 [n, blocks], where the container's zero point is not 2^(m−1). */
  readonly zero: Value | undefined;
  /** float32 [columns, n], or undefined when no offset is needed. */
  readonly offset: Value | undefined;
  /** float16 [n], what a precision has learned to add to its output. */
  readonly bias?: Value | undefined;
}

/** Plain float32 tables [n, columns], where no stored one exists (slices that are no prefix). */
export interface PlainTable {
  readonly scale: Tensor;
  readonly offset: Tensor | undefined;
}

/** Where new nodes go and how they are called. */
export interface At {
  readonly anchor: Node;
  readonly place: ProjectionPlace;
  readonly name: string;
}

/** The values of the table that decodes a projection at `bits`. */
export function storedTable(
  emitter: Emitter,
  tensor: RangeTensor,
  layout: SetLayout,
  at: At,
  bits: Precision,
): TableValues {
  const table = tableAt(at.place, bits, layout.decode);
  const column = new Columns(emitter, tensor, at);
  const base = column.decode(table.scale, 'scales');
  if (layout.decode === 'tied') return tiedTable(column, table, base, bits);
  const lift = containerBits(bits) - bits;
  const offset =
    layout.decode === 'mid'
      ? column.times(base, 2 ** lift / 2, 'offset')
      : table.offset && column.decode(table.offset, 'offsets');
  const half = table.scale.dtype === 'float16' ? column.stored(table.scale, 'scales') : undefined;
  const bias = table.bias && column.bias(table.bias);
  return {
    scale: (dtype) => column.scale(base, half, dtype),
    zero: undefined,
    offset: column.transposed(offset),
    bias,
  };
}

/** α(step · c + shift − z) of the parent's α and z: every precision from one table. */
function tiedTable(column: Columns, table: TablePlace, alpha: Value, bits: Precision): TableValues {
  const { shift } = decodeConstants('prefix', bits);
  const scale = column.times(alpha, 2 ** (8 - containerBits(bits)), 'scale');
  const make = (dtype: 'float32' | 'float16'): Value => column.scale(scale, undefined, dtype);
  if (table.zero === undefined) {
    const offset = shift === 0 ? undefined : column.times(alpha, shift, 'offset');
    return { scale: make, zero: undefined, offset: column.transposed(offset) };
  }
  if (bits === 8) return { scale: make, zero: column.zero(table.zero), offset: undefined };
  return { scale: make, zero: undefined, offset: column.transposed(column.tiedOffset(alpha, table.zero, 128 + shift)) };
}

/** Values over tables that are plain float32 already. */
export function plainTable(emitter: Emitter, table: PlainTable, at: At): TableValues {
  const column = new Columns(emitter, () => table.scale, at);
  const scale = emitter.initializer(`${at.name}_scales`, table.scale);
  const offset = table.offset && emitter.initializer(`${at.name}_offsets`, table.offset);
  return {
    scale: (dtype) => column.scale(scale, undefined, dtype),
    zero: undefined,
    offset: column.transposed(offset),
  };
}

/** Operators over one projection's columns [n, columns]. */
class Columns {
  readonly #emitter: Emitter;
  readonly #tensor: RangeTensor;
  readonly #at: At;
  readonly #shape: readonly number[];
  readonly #stored: Map<ColumnPlace, Value> = new Map();

  constructor(emitter: Emitter, tensor: RangeTensor, at: At) {
    this.#emitter = emitter;
    this.#tensor = tensor;
    this.#at = at;
    this.#shape = [at.place.n, at.place.columns];
  }

  /** A float16 column as it is stored. */
  stored(column: ColumnPlace, label: string): Value {
    const known = this.#stored.get(column) ?? this.#initializer(label, this.#tensor(column, 'float16', this.#shape));
    this.#stored.set(column, known);
    return known;
  }

  /** A column as float32 [n, columns]. */
  decode(column: ColumnPlace, label: string): Value {
    if (column.supers === undefined) return this.#cast(this.stored(column, label), 'float32', label);
    const groups = column.length / SUPER_BLOCK;
    const codes = this.#initializer(label, this.#tensor(column, column.dtype, [groups, SUPER_BLOCK]));
    const supers = this.#initializer(`${label}_super`, this.#tensor(column.supers, 'float16', [groups, 1]));
    const inputs = [this.#cast(codes, 'float32', label), this.#cast(supers, 'float32', `${label}_super`)];
    return this.#cut(this.#add('Mul', inputs, label), column.length, label);
  }

  times(value: Value, factor: number, label: string): Value {
    return factor === 1 ? value : this.#add('Mul', [value, this.#emitter.float(factor)], label);
  }

  /** α · (middle − z), float32 [n, columns]. */
  tiedOffset(alpha: Value, zero: { readonly offset: number; readonly length: number }, middle: number): Value {
    const stored = this.#initializer('zero_points', this.#tensor(zero, 'uint8', this.#shape));
    const distance = this.#add(
      'Sub',
      [this.#emitter.float(middle), this.#cast(stored, 'float32', 'zero_points')],
      'offset',
    );
    return this.#add('Mul', [alpha, distance], 'offset');
  }

  zero(zero: { readonly offset: number; readonly length: number }): Value {
    return this.#expand(this.#initializer('zero_points', this.#tensor(zero, 'uint8', this.#shape)), 'zero_points');
  }

  bias(range: { readonly offset: number; readonly length: number }): Value {
    return this.#initializer('learned_bias', this.#tensor(range, 'float16', [this.#at.place.n]));
  }

  /** Scales [n, blocks] in the product's element type. `half` is the same column stored as float16. */
  scale(value: Value, half: Value | undefined, dtype: 'float32' | 'float16'): Value {
    if (dtype === 'float32') return this.#expand(value, 'scales');
    return this.#expand(half ?? this.#cast(value, 'float16', 'scales'), 'scales');
  }

  transposed(value: Value | undefined): Value | undefined {
    if (value === undefined) return undefined;
    const { anchor, place, name } = this.#at;
    const attributes = { perm: ints([1, 0]) };
    return this.#emitter.add(anchor, place.id, {
      op: 'Transpose',
      inputs: [value],
      attributes,
      name: `${name}/offset/Transpose`,
    });
  }

  /** Decoded codes [groups, 16] to [n, columns], without the padding of the last group. */
  #cut(value: Value, padded: number, label: string): Value {
    const { anchor, place, name } = this.#at;
    const entries = place.n * place.columns;
    if (padded === entries)
      return this.#emitter.reshape(anchor, place.id, value, this.#shape, `${name}/${label}/Reshape`);
    const flat = this.#emitter.reshape(anchor, place.id, value, [-1], `${name}/${label}/Flatten`);
    const cut = this.#emitter.slice(anchor, place.id, flat, 0, entries, `${name}/${label}/Slice`);
    return this.#emitter.reshape(anchor, place.id, cut, this.#shape, `${name}/${label}/Reshape`);
  }

  /** Repeats the one scale of a row over its blocks. */
  #expand(value: Value, label: string): Value {
    const { anchor, place, name } = this.#at;
    const { count } = placeBlocks(place);
    if (count === place.columns) return value;
    return this.#emitter.expand(anchor, place.id, value, this.#shape, [place.n, count], `${name}/${label}/Expand`);
  }

  #cast(value: Value, to: DType, label: string): Value {
    return this.#emitter.cast(this.#at.anchor, this.#at.place.id, value, to, `${this.#at.name}/${label}/Cast`);
  }

  #add(op: string, inputs: readonly Value[], label: string): Value {
    return this.#emitter.add(this.#at.anchor, this.#at.place.id, {
      op,
      inputs,
      name: `${this.#at.name}/${label}/${op}`,
    });
  }

  #initializer(label: string, tensor: Tensor): Value {
    return this.#emitter.initializer(`${this.#at.name}_${label}`, tensor);
  }
}

/** Attribute helper for reductions: the axis moved from an attribute to an input with opset 13. */
export function reduceSumLast(
  emitter: Emitter,
  keep: boolean,
): { inputs: Value[]; attributes: Record<string, ReturnType<typeof int>> } {
  const keepdims = { keepdims: int(keep ? 1 : 0) };
  if (emitter.opset >= 13) return { inputs: [emitter.int64s([-1])], attributes: keepdims };
  return { inputs: [], attributes: { ...keepdims, axes: ints([-1]) } };
}
