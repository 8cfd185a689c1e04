/** Precisions of the nested set: how many leading bits of an int8 code a model reads, and the container it runs in. */
import { fail } from '../diagnostics.js';

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

/** Checks one precision; `at` names the option or field it came from. */
export function toPrecision(value: unknown, at: string): Precision {
  return isPrecision(value) ? value : fail('bad-usage', at, `'${String(value)}' is not a precision from 2 to 8 bits`);
}

/**
 * Checks a list of precisions, given as numbers or as text such as `8,6,4,3,2`, and returns it largest first.
 * An empty list or a repeated precision is an error: the caller meant something else.
 */
export function parsePrecisions(list: string | readonly unknown[], at: string): readonly Precision[] {
  const parts = typeof list === 'string' ? list.split(',').map(numberOf) : list;
  if (parts.length === 0) fail('bad-usage', at, 'the list of precisions is empty');
  const found = parts.map((part) => toPrecision(part, at));
  const repeated = found.find((bits, i) => found.indexOf(bits) !== i);
  if (repeated !== undefined) fail('bad-usage', at, `precision ${repeated} is listed twice`);
  return found.sort((a, b) => b - a);
}

/** '4' → 4; anything but plain digits stays text, so that the error shows what was written. */
function numberOf(text: string): number | string {
  const trimmed = text.trim();
  return /^\d+$/.test(trimmed) ? Number(trimmed) : trimmed;
}
