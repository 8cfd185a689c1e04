/**
 * Codes as bytes, in the two layouts runtimes read. Within a byte the first code has the lowest bits, in both.
 *
 * - MatMulNBits (com.microsoft, domain version 1): B uint8 [N, ⌈K/block⌉, block · bits/8], every row and block of its own, the
 *   tail of a ragged last block filled with the zero point; zero points packed per row [N, ⌈count · bits/8⌉].
 * - QDQ (ONNX TensorProto): codes of [K, N] packed flat over the whole row-major tensor, blocks along axis 0.
 */
import { fail } from '../diagnostics.js';
import type { Blocks } from './grid.js';
import type { ContainerBits } from './precision.js';

/** Widths of a field inside a byte. */
export type FieldBits = 1 | 2 | 4 | 8;

/** Packs all `fields` into the start of `out`; the last byte may be partly filled, its rest is zero. */
export function packFields(fields: Uint8Array, width: FieldBits, out: Uint8Array): void {
  if (width === 8) {
    out.set(fields);
    return;
  }
  const whole = Math.floor((fields.length * width) / 8);
  let i = 0;
  for (let b = 0; b < whole; b++) {
    let byte = 0;
    for (let shift = 0; shift < 8; shift += width) byte |= (fields[i++] as number) << shift;
    out[b] = byte;
  }
  if (i === fields.length) return;
  let last = 0;
  for (let shift = 0; i < fields.length; shift += width) last |= (fields[i++] as number) << shift;
  out[whole] = last;
}

/** The reverse of `packFields`: fills `out` with the first fields of `bytes`. */
export function unpackFields(bytes: Uint8Array, width: FieldBits, out: Uint8Array): void {
  if (width === 8) {
    out.set(bytes.subarray(0, out.length));
    return;
  }
  const mask = (1 << width) - 1;
  for (let i = 0, b = 0; i < out.length; b++) {
    const byte = bytes[b] as number;
    for (let shift = 0; shift < 8 && i < out.length; shift += width) out[i++] = (byte >> shift) & mask;
  }
}

/** Bytes of one row of a MatMulNBits weight whose fields are `width` bits wide. */
export function rowBytes(blocks: Blocks, width: FieldBits): number {
  const bits = blocks.block * width;
  if (bits % 8 !== 0)
    fail('bad-usage', 'block', `a block of ${blocks.block} fields of ${width} bits is not whole bytes`);
  return (blocks.count * bits) / 8;
}

/**
 * Packs fields [rows, K] as [rows, count, block · width/8]. Fields past K get `padding`, which for the codes of a container is
 * its default zero point 2^(bits−1).
 */
export function packRows(
  fields: Uint8Array,
  rows: number,
  blocks: Blocks,
  width: FieldBits,
  padding: number,
): Uint8Array {
  const stride = rowBytes(blocks, width);
  const out = new Uint8Array(rows * stride);
  const padded = new Uint8Array(blocks.count * blocks.block).fill(padding);
  const ragged = padded.length !== blocks.k;
  for (let row = 0; row < rows; row++) {
    const from = row * blocks.k;
    if (ragged) padded.set(fields.subarray(from, from + blocks.k));
    packFields(ragged ? padded : fields.subarray(from, from + blocks.k), width, out.subarray(row * stride));
  }
  return out;
}

/** The reverse of `packRows`: fields [rows, K], padding dropped. */
export function unpackRows(bytes: Uint8Array, rows: number, blocks: Blocks, width: FieldBits): Uint8Array {
  const stride = rowBytes(blocks, width);
  const out = new Uint8Array(rows * blocks.k);
  for (let row = 0; row < rows; row++) {
    unpackFields(bytes.subarray(row * stride), width, out.subarray(row * blocks.k, (row + 1) * blocks.k));
  }
  return out;
}

/** Container codes [rows, K] → the B operand of MatMulNBits. */
export function packMatMulNBits(codes: Uint8Array, rows: number, blocks: Blocks, bits: ContainerBits): Uint8Array {
  return packRows(codes, rows, blocks, bits, 2 ** (bits - 1));
}

/** The B operand of MatMulNBits → container codes [rows, K]. */
export function unpackMatMulNBits(bytes: Uint8Array, rows: number, blocks: Blocks, bits: ContainerBits): Uint8Array {
  return unpackRows(bytes, rows, blocks, bits);
}

/**
 * Container codes [N, K] → the [K, N] tensor of a DequantizeLinear with axis 0, packed flat. `signed` writes code − 2^(bits−1)
 * in two's complement (int2, int4, int8), which needs no zero point; otherwise the codes as they are (uint2, uint4, uint8).
 */
export function packQdq(codes: Uint8Array, n: number, k: number, bits: ContainerBits, signed: boolean): Uint8Array {
  const flip = signed ? 1 << (bits - 1) : 0;
  const fields = transpose(codes, n, k);
  if (flip !== 0) for (let i = 0; i < fields.length; i++) fields[i] = (fields[i] as number) ^ flip;
  const out = new Uint8Array(Math.ceil((fields.length * bits) / 8));
  packFields(fields, bits, out);
  return out;
}

/** [rows, columns] → [columns, rows]; in tiles, so that both sides stay in cache. Also takes scales [N, count] to [count, N]. */
export function transpose<T extends Uint8Array | Uint16Array | Float32Array>(
  data: T,
  rows: number,
  columns: number,
): T {
  const out = new (data.constructor as new (length: number) => T)(data.length);
  const tile = 64;
  for (let r0 = 0; r0 < rows; r0 += tile) {
    const r1 = Math.min(r0 + tile, rows);
    for (let c0 = 0; c0 < columns; c0 += tile) {
      const c1 = Math.min(c0 + tile, columns);
      for (let r = r0; r < r1; r++) {
        for (let c = c0; c < c1; c++) out[c * rows + r] = data[r * columns + c] as number;
      }
    }
  }
  return out;
}
