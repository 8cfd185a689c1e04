/** The reverse of what the product packs, for tests. */
import type { Blocks } from '../../src/quant/grid.js';
import { packFields, packRows, transpose, unpackFields, unpackRows } from '../../src/quant/pack.js';
import { type Plane, packPlane } from '../../src/quant/planes.js';
import { type ContainerBits, containerBits, type Precision } from '../../src/quant/precision.js';

/** Zero points [rows, count] → packed per row, every row of whole bytes. */
export function packZeroPoints(zero: Uint8Array, rows: number, count: number, bits: ContainerBits): Uint8Array {
  const stride = Math.ceil((count * bits) / 8);
  const out = new Uint8Array(rows * stride);
  for (let row = 0; row < rows; row++) {
    packFields(zero.subarray(row * count, (row + 1) * count), bits, out.subarray(row * stride));
  }
  return out;
}

/** The reverse of `packZeroPoints`. */
export function unpackZeroPoints(bytes: Uint8Array, rows: number, count: number, bits: ContainerBits): Uint8Array {
  const stride = Math.ceil((count * bits) / 8);
  const out = new Uint8Array(rows * count);
  for (let row = 0; row < rows; row++) {
    unpackFields(bytes.subarray(row * stride), bits, out.subarray(row * count, (row + 1) * count));
  }
  return out;
}

/** The reverse of `packQdq`: container codes [N, K]. */
export function unpackQdq(bytes: Uint8Array, n: number, k: number, bits: ContainerBits, signed: boolean): Uint8Array {
  const flip = signed ? 1 << (bits - 1) : 0;
  const fields = new Uint8Array(n * k);
  unpackFields(bytes, bits, fields);
  if (flip !== 0) for (let i = 0; i < fields.length; i++) fields[i] = (fields[i] as number) ^ flip;
  return transpose(fields, k, n);
}

/** The planes a precision reads; throws where the chain has no boundary there. */
export function planesFor(planes: readonly Plane[], bits: Precision): readonly Plane[] {
  const needed = planes.filter((plane) => plane.precision <= bits);
  const last = needed.at(-1);
  if (last === undefined || last.above + last.width !== bits) {
    throw new Error(`there is no boundary at ${bits} bits`);
  }
  return needed;
}

/** A plane and its bytes. */
export interface PlaneBytes {
  readonly plane: Plane;
  readonly bytes: Uint8Array;
}

/** Splits parent codes [rows, K] into the bytes of every plane, in order. */
export const splitPlanes = (
  codes: Uint8Array,
  rows: number,
  blocks: Blocks,
  planes: readonly Plane[],
): readonly PlaneBytes[] => planes.map((plane) => ({ plane, bytes: packPlane(codes, rows, blocks, plane) }));

/** Joins the planes a precision needs, out of those at hand, into the B operand of MatMulNBits, one code at a time. */
export function joinPlanes(stored: readonly PlaneBytes[], rows: number, blocks: Blocks, bits: Precision): Uint8Array {
  const needed = planesFor(
    stored.map(({ plane }) => plane),
    bits,
  );
  const container = containerBits(bits);
  const codes = new Uint8Array(rows * blocks.k);
  for (const { plane, bytes } of stored.slice(0, needed.length)) {
    const fields = unpackRows(bytes, rows, blocks, plane.width);
    const lift = container - plane.above - plane.width;
    for (let i = 0; i < codes.length; i++) codes[i] = (codes[i] as number) | ((fields[i] as number) << lift);
  }
  return packRows(codes, rows, blocks, container, 2 ** (container - 1));
}

/** The field of one parent code in a plane. */
export function fieldOf(code: number, { above, width }: Plane): number {
  return (code >> (8 - above - width)) & ((1 << width) - 1);
}
