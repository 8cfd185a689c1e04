/**
 * Lookup tables that widen a byte of a bit plane to container codes. Joining planes at load time is then one Gather per plane
 * and one Add between planes: ONNX Runtime folds them with the fewest bytes written (docs/decisions/nested-format.md has the figures).
 */
import { packFields } from './pack.js';
import type { Plane } from './planes.js';
import { type ContainerBits, containerBits, type Precision } from './precision.js';

/** Where a plane's fields land in a container. */
export interface Widening {
  readonly width: Plane['width'];
  /** Position of the field's lowest bit in a container code. */
  readonly lift: number;
  readonly container: ContainerBits;
}

/** The widening of one plane for a model of `bits`. */
export function wideningOf(plane: Plane, bits: Precision): Widening {
  const container = containerBits(bits);
  return { width: plane.width, lift: container - plane.above - plane.width, container };
}

/** True when a plane is the whole B operand of MatMulNBits at this precision, so that nothing has to be joined. */
export function isWhole(plane: Plane, bits: Precision): boolean {
  return plane.above === 0 && plane.width === bits && containerBits(bits) === bits;
}

/** uint8 [256, container/width]: row v holds the 8/width container codes that the fields of byte v stand for. */
export function widenTable({ width, lift, container }: Widening): Uint8Array {
  const row = container / width;
  const table = new Uint8Array(256 * row);
  const fields = new Uint8Array(8 / width);
  for (let value = 0; value < 256; value++) {
    for (let i = 0; i < fields.length; i++) fields[i] = ((value >> (i * width)) & ((1 << width) - 1)) << lift;
    packFields(fields, container, table.subarray(value * row, (value + 1) * row));
  }
  return table;
}
