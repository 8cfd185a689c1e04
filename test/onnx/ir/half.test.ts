import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  bfloat16ToFloat32,
  float16Bits,
  float16ToFloat32,
  float16Value,
  float32ToBfloat16,
  float32ToFloat16,
  fromFloat32,
  toFloat32,
} from '../../../src/onnx/ir/half.js';
import { oracle } from '../../quant/support.js';

const { float32Bits, float16, bfloat16 } = oracle<Record<'float32Bits' | 'float16' | 'bfloat16', number[]>>('half');
const values = new Float32Array(Uint32Array.from(float32Bits).buffer);
const everyPattern = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** A float16 by its definition, (−1)^s · 2^(e−15) · 1.f, or 2^−14 · 0.f when e = 0. */
function defined(bits: number): number {
  const exponent = Math.floor(bits / 1024) % 32;
  const fraction = (bits % 1024) / 1024;
  const sign = bits >= 32768 ? -1 : 1;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15);
}

describe('half', () => {
  it('narrows as numpy does: ordinary values, ties, subnormals, overflow, infinities', () => {
    expect([...float32ToFloat16(values)]).toEqual(float16);
    expect([...float32ToBfloat16(values)]).toEqual(bfloat16);
  });

  it('widens all 65,536 float16 patterns as defined, and back to the same bits', () => {
    const widened = float16ToFloat32(everyPattern);
    const wrong = everyPattern.filter((bits) => !Object.is(widened[bits], defined(bits)));
    expect(wrong).toHaveLength(0);
    const back = float32ToFloat16(widened);
    expect(everyPattern.filter((bits) => !Number.isNaN(widened[bits]) && back[bits] !== bits)).toHaveLength(0);
  });

  it('widens bfloat16 to the float32 with the same leading bits', () => {
    const bits = new Uint32Array(bfloat16ToFloat32(everyPattern).buffer);
    expect(bits.every((b, i) => b === i * 65536)).toBe(true);
  });

  it('keeps NaN a NaN', () => {
    const nans = new Float32Array(Uint32Array.of(0x7fc00000, 0x7f800001, 0xffffffff).buffer);
    expect([...float16ToFloat32(float32ToFloat16(nans))]).toEqual([NaN, NaN, NaN]);
    expect([...bfloat16ToFloat32(float32ToBfloat16(nans))]).toEqual([NaN, NaN, NaN]);
  });

  it('converts single numbers like whole arrays', () => {
    fc.assert(
      fc.property(fc.float({ noNaN: true }), (x) => {
        const [bits] = float32ToFloat16(Float32Array.of(x));
        expect(float16Bits(x)).toBe(bits);
        expect(float16Value(float16Bits(x))).toBe(defined(bits ?? -1));
      }),
    );
  });

  it.each(['float32', 'float64', 'float16', 'bfloat16'] as const)('reads raw %s bytes at any offset', (dtype) => {
    const numbers = Float32Array.of(0, 1, -2.5, 2 ** -10);
    const bytes = fromFloat32(numbers, dtype);
    const shifted = new Uint8Array(bytes.length + 1);
    shifted.set(bytes, 1);
    expect(toFloat32(bytes, dtype)).toEqual(numbers);
    expect(toFloat32(shifted.subarray(1), dtype)).toEqual(numbers);
    expect(toFloat32(Buffer.from(shifted).subarray(1), dtype)).toEqual(numbers);
  });

  it('refuses other types and partial elements', () => {
    expect(() => toFloat32(new Uint8Array(4), 'int8')).toThrow(expect.objectContaining({ code: 'unknown-dtype' }));
    expect(() => toFloat32(new Uint8Array(3), 'float16')).toThrow(expect.objectContaining({ code: 'tensor-size' }));
  });
});
