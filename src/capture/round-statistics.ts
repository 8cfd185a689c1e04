/**
 * Statistics that are the same on every processor. ONNX Runtime's kernels add in orders that depend on the instruction set, so sums in
 * float64 differ by about 1e-15 of their size. Rounded to steps of 2^-16 of their size they differ only where a number lies that close to
 * the middle between two steps: one element of 1e10. The noise of calibration text is larger than a step by far: 2^-8 for 65,536 tokens.
 */
import { type GroupStatistics, triangleIndex } from './statistics.js';

/** Bits behind the leading one of √(Hᵢᵢ · Hⱼⱼ), which bounds |Hᵢⱼ|. */
const BITS = 16;
/** Differences of two streams are small beside the streams themselves. */
const CHANGE_BITS = 20;

/** Statistics rounded to steps that are powers of two, each relative to the sizes of the columns it belongs to. */
export function roundStatistics<Kind extends GroupStatistics & { readonly change?: Float64Array }>(found: Kind): Kind {
  const { k, gram, sum, change, tokens } = found;
  const sizes = Array.from({ length: k }, (_, at) => exponentOf(gram[triangleIndex(k, at, at)] as number));
  const size = (i: number, j: number): number => (sizes[i] as number) + (sizes[j] as number);
  const rounded = new Float64Array(gram.length);
  let at = 0;
  for (let i = 0; i < k; i++)
    for (let j = i; j < k; j++, at++) rounded[at] = round(gram[at] as number, size(i, j), BITS);
  const rows = exponentOf(tokens);
  return {
    ...found,
    gram: rounded,
    sum: sum.map((value, i) => round(value, (sizes[i] as number) + rows, BITS)),
    ...(change && { change: change.map((value, i) => round(value, size(Math.floor(i / k), i % k), CHANGE_BITS)) }),
  };
}

/** The exponent of a number that is rounded first: next to a power of two it would depend on the last digit. */
function exponentOf(value: number): number {
  if (value <= 0) return 0;
  return binaryExponent(round(value, 2 * binaryExponent(value), BITS));
}

const scratch = new DataView(new ArrayBuffer(8));

/** e of a positive number in [2^e, 2^(e+1)). */
function binaryExponent(value: number): number {
  scratch.setFloat64(0, value);
  return ((scratch.getUint32(0) >>> 20) & 0x7ff) - 1023;
}

/** The multiple of a step next to a number; `size` is the exponent of the square of what the step is relative to. */
function round(value: number, size: number, bits: number): number {
  const step = 2 ** (Math.floor(size / 2) - bits);
  return Math.round(value / step) * step;
}
