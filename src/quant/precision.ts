/** Precisions of the nested set: how many leading bits of an int8 code a model reads, and the container it runs in. */
/** Number of leading bits of the parent that a model reads. */
export type Precision = 2 | 3 | 4 | 5 | 6 | 7 | 8;

/** Widths the kernels of `com.microsoft::MatMulNBits` exist for; 3, 5, 6 and 7 are refused when a session opens. */
export type ContainerBits = 2 | 4 | 8;

/** Every precision, smallest first. */
export const PRECISIONS: readonly Precision[] = [2, 3, 4, 5, 6, 7, 8];

const CONTAINERS: Record<Precision, ContainerBits> = { 2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 8: 8 };

export function isPrecision(value: unknown): value is Precision {
  return (PRECISIONS as readonly unknown[]).includes(value);
}

/** The narrowest container that holds a code of `bits` bits. */
export function containerBits(bits: Precision): ContainerBits {
  return CONTAINERS[bits];
}
