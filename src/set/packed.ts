/** Codes of a set packed for a self-contained model, made piece by piece while the file is written. */
import type { PackedProjection } from '../../passes/pack-projections.js';
import { fail } from '../diagnostics.js';
import type { RangeTensor } from '../emit/join.js';
import type { DType } from '../onnx/ir/dtype.js';
import { float16ToFloat32 } from '../onnx/ir/half.js';
import { float32s, lazyTensor, type Tensor } from '../onnx/ir/tensor.js';
import { decodeColumn, SUPER_BLOCK } from '../quant/compress.js';
import { wideningOf } from '../quant/join-table.js';
import {
  type ColumnPlace,
  type ProjectionPlace,
  placeBlocks,
  planesAt,
  type SetLayout,
  tableAt,
} from '../quant/layout.js';
import { packFields, packQdq, unpackRows } from '../quant/pack.js';
import { type ContainerBits, containerBits, type Precision } from '../quant/precision.js';
import { codeBits, type SliceKind, sliceTable } from '../quant/slice.js';
import type { CentredTable } from '../quant/tables.js';
import { joinPieces } from '../quant/widen.js';

/** Reads ranges of the set's data file. */
export interface SetReader {
  readonly layout: SetLayout;
  readonly tensor: RangeTensor;
}

/** A projection at one of its own precisions, packed as MatMulNBits reads it. */
export function packPrefix(reader: SetReader, place: ProjectionPlace, bits: Precision): PackedProjection {
  const container = containerBits(bits);
  const codes = packed(place, container, (from, to, into) => joined(reader, place, bits, from, to, into));
  return { container, codes };
}

/**
 * A slice that is no prefix, cut from the int8 codes, with the decode that int8's own table implies:
 * ŵ = a(step · c) + b for the int8 decode ŵ = a·q + b (MatQuant eq. 6 and 8).
 */
export function packSlice(
  reader: SetReader,
  place: ProjectionPlace,
  bits: Precision,
  kind: SliceKind,
): PackedProjection {
  if (place.chain.at(-1) !== 8)
    fail('no-precision', place.id, `A slice of kind ${kind} is cut from int8, which the set does not have`);
  const width = codeBits(kind, bits);
  const container = containerBits(width);
  const lift = container - width;
  const table = sliceTable(kind, bits).map((code) => code << lift);
  const codes = packed(place, container, (from, to) => {
    const parent = joined(reader, place, 8, from, to);
    for (let i = 0; i < parent.length; i++) parent[i] = table[parent[i] as number] as number;
    padTail(parent, place, from, 2 ** (container - 1));
    const out = new Uint8Array((parent.length * container) / 8);
    packFields(parent, container, out);
    return out;
  });
  return { container, codes, table: slicedTable(reader, place, 2 ** (8 - bits), width) };
}

/** uint8 [n, blocks, bytes] made from codes [from, to), both multiples of 16. */
function packed(
  place: ProjectionPlace,
  container: ContainerBits,
  make: (from: number, to: number, into?: Uint8Array) => Uint8Array,
): Tensor {
  const { count, block } = placeBlocks(place);
  const perByte = 8 / container;
  const codes = place.n * count * block;
  return lazyTensor('uint8', [place.n, count, (block * container) / 8], (start, end, into) => {
    const from = Math.floor((start * perByte) / 16) * 16;
    const to = Math.min(Math.ceil((end * perByte) / 16) * 16, codes);
    const bytes = make(from, to, into);
    const skip = start - from / perByte;
    return bytes.subarray(skip, skip + end - start);
  });
}

/** Container codes [from, to) of the planes of one precision, packed. */
function joined(
  reader: SetReader,
  place: ProjectionPlace,
  bits: Precision,
  from: number,
  to: number,
  into?: Uint8Array,
): Uint8Array {
  const planes = planesAt(place, bits);
  const wide = planes.map((plane) => ({
    read: reader.tensor(plane, 'uint8', [plane.length]).bytes,
    widening: wideningOf(plane, bits),
  }));
  return joinPieces(wide, from, to, containerBits(bits), into);
}

/** Columns past K get the container's zero point; the slice of a padding code need not be it. */
function padTail(codes: Uint8Array, place: ProjectionPlace, from: number, zero: number): void {
  const { count, block, k } = placeBlocks(place);
  const row = count * block;
  if (row === k) return;
  for (let i = 0; i < codes.length; i++) if ((from + i) % row >= k) codes[i] = zero;
}

/** Container scale and centred offset of codes that stand for multiples of `step`, from int8's table; [n, columns]. */
function slicedTable(
  reader: SetReader,
  place: ProjectionPlace,
  step: number,
  width: Precision,
): PackedProjection['table'] {
  const { scale, offset } = centredTable(reader, place, 8);
  const shape = [place.n, place.columns];
  const shrink = step * 2 ** (width - containerBits(width));
  // b = offset − 128a; the centred offset is b + (a · step) · 2^(width−1).
  const lift = step * 2 ** (width - 1) - 128;
  const centred = scale.map((a, i) => (offset[i] as number) + a * lift);
  return {
    scale: float32s(
      scale.map((a) => a * shrink),
      shape,
    ),
    offset: centred.some((value) => value !== 0) ? float32s(centred, shape) : undefined,
  };
}

/** Scale and centred offset of one precision over its container codes: Ŵ = scale · (C − 2^(m−1)) + offset; [n, columns]. */
export function centredTable(reader: SetReader, place: ProjectionPlace, bits: Precision): CentredTable {
  const { decode } = reader.layout;
  const table = tableAt(place, bits, decode);
  const entries = place.n * place.columns;
  const scale = readColumn(reader, table.scale, entries);
  if (decode === 'mid') return { scale, offset: scale.map((a) => a * 2 ** (containerBits(bits) - bits - 1)) };
  if (table.zero !== undefined) {
    const zero = reader.tensor(table.zero, 'uint8', [entries]).bytes();
    return { scale, offset: scale.map((a, i) => a * (128 - (zero[i] as number))) };
  }
  const offset = table.offset === undefined ? new Float32Array(entries) : readColumn(reader, table.offset, entries);
  return { scale, offset };
}

/** The bias [n] of a precision, where the set has room for one. */
export function storedBias(reader: SetReader, place: ProjectionPlace, bits: Precision): Float32Array | undefined {
  const { bias } = tableAt(place, bits, reader.layout.decode);
  return bias && float16ToFloat32(new Uint16Array(reader.tensor(bias, 'float16', [place.n]).bytes().slice().buffer));
}

/** The codes of one precision, [n, k], not aligned in a container. */
export function codesAt(reader: SetReader, place: ProjectionPlace, bits: Precision): Uint8Array {
  const blocks = placeBlocks(place);
  const container = containerBits(bits);
  const bytes = joined(reader, place, bits, 0, place.n * blocks.count * blocks.block);
  const codes = unpackRows(bytes, place.n, blocks, container);
  const drop = container - bits;
  return drop === 0 ? codes : codes.map((code) => code >> drop);
}

/** A stored column as numbers. */
export function readColumn(reader: SetReader, column: ColumnPlace, entries: number): Float32Array {
  const bytes = reader.tensor(column, 'uint8', [column.length]).bytes();
  if (column.supers === undefined) return float16ToFloat32(new Uint16Array(bytes.slice().buffer));
  const supers = reader.tensor(column.supers, 'uint8', [column.supers.length]).bytes();
  const codes = column.dtype === 'int8' ? new Int8Array(bytes.slice().buffer) : bytes;
  const values = decodeColumn({ codes, supers: new Uint16Array(supers.slice().buffer) });
  return values.subarray(0, Math.min(entries, (column.length / SUPER_BLOCK) * SUPER_BLOCK));
}

/**
 * Codes [k, n] of a DequantizeLinear with axis 0, packed over the whole tensor. One projection is transposed in memory, when
 * its bytes are asked for.
 */
export function packColumns(reader: SetReader, place: ProjectionPlace, bits: Precision, dtype: DType): Tensor {
  const container = containerBits(bits);
  const blocks = placeBlocks(place);
  let bytes: Uint8Array | undefined;
  const make = (): Uint8Array => {
    const codes = unpackRows(
      joined(reader, place, bits, 0, place.n * blocks.count * blocks.block),
      place.n,
      blocks,
      container,
    );
    return packQdq(codes, place.n, place.k, container, !dtype.startsWith('u'));
  };
  return lazyTensor(dtype, [place.k, place.n], (start, end) => {
    bytes ??= make();
    const piece = bytes.slice(start, end);
    if (end === bytes.length) bytes = undefined;
    return piece;
  });
}
