/** The arithmetic of the solver written a second time, in plain float64 and one weight at a time, for tests. */
import type { Precision } from '../../../src/quant/precision.js';
import type { Nesting } from '../../../src/solve/kernel/options.js';

/** The r-bit slice of an n-bit parent code (ALGORITHM: prefix; MatQuant eq. 6; eq. 8). */
export function slice(code: number, parent: number, bits: number, kind: Nesting['slice']): number {
  const step = 2 ** (parent - bits);
  if (kind === 'prefix') return Math.floor(code / step);
  const rounded = Math.floor(code / step + (step > 1 ? 0.5 : 0));
  return kind === 'paper' ? Math.min(rounded, 2 ** bits - 1) : rounded;
}

/** Rounds half to even, as ONNX, numpy and torch do. */
export function roundEven(x: number): number {
  const low = Math.floor(x);
  if (x - low !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

/** Scale and zero point of one block, in float32 steps like the kernels. */
export function minMaxGrid(w: readonly number[], nesting: Nesting, bits: Precision): { scale: number; zero: number } {
  const lo = Math.min(...w);
  const hi = Math.max(...w);
  const half = 2 ** (bits - 1);
  if (!nesting.symmetric) {
    const scale = Math.fround(Math.fround(Math.max(hi, 0) - Math.min(lo, 0)) / (2 * half - 1));
    return { scale, zero: roundEven(Math.fround(-Math.min(lo, 0) / scale)) };
  }
  const extreme = Math.abs(lo) > Math.abs(hi) ? lo : hi;
  const scale = nesting.decode === 'signed' ? -extreme / half : Math.abs(extreme) / Math.max(half - 1, 1);
  return { scale: Math.fround(scale), zero: half };
}

export function encode(w: number, scale: number, zero: number, bits: number): number {
  return Math.min(Math.max(roundEven(Math.fround(Math.fround(w / scale) + zero)), 0), 2 ** bits - 1);
}

/** Least squares of w on a code under H = I, by the normal equations; returns w = scale * code + offset. */
export function fitBlock(
  w: readonly number[],
  codes: readonly number[],
  bits: number,
  decode: 'ab' | 'mid' | 'signed',
): [number, number] {
  const zero = decode === 'ab' ? 0 : 2 ** (bits - 1) - (decode === 'mid' ? 0.5 : 0);
  const x = codes.map((c) => c - zero);
  const dot = (a: readonly number[], b: readonly number[]): number =>
    a.reduce((sum, value, i) => sum + value * (b[i] ?? 0), 0);
  const ones = w.map(() => 1);
  if (decode !== 'ab') {
    const a = dot(x, w) / dot(x, x);
    return [a, -a * zero];
  }
  const n = w.length;
  const a = (n * dot(x, w) - dot(x, ones) * dot(w, ones)) / (n * dot(x, x) - dot(x, ones) ** 2);
  return [a, (dot(w, ones) - a * dot(x, ones)) / n];
}

/** A small deterministic generator of numbers near a normal distribution. */
export function noise(seed: number): () => number {
  let state = seed >>> 0 || 1;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return () => uniform() + uniform() + uniform() + uniform() - 2;
}
