import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { blocksOf } from '../../src/quant/grid.js';
import {
  packFields,
  packMatMulNBits,
  packQdq,
  rowBytes,
  transpose,
  unpackFields,
  unpackMatMulNBits,
} from '../../src/quant/pack.js';
import type { ContainerBits } from '../../src/quant/precision.js';
import { packZeroPoints, unpackQdq, unpackZeroPoints } from '../support/packing.js';
import { oracle, samples } from './support.js';

interface Case {
  readonly bits: ContainerBits;
  readonly codes: number[];
  readonly matmulnbits: number[];
  readonly zero: number[];
  readonly zeroPacked: number[];
  readonly unsignedQdq: number[];
  readonly signedQdq: number[];
}
const numpy = oracle<{ rows: number; k: number; block: number; cases: Case[] }>('pack');
const blocks = blocksOf(numpy.k, numpy.block);
const { rows, k } = numpy;
const widths = fc.constantFrom<ContainerBits>(2, 4, 8);

describe.each(numpy.cases)('pack at $bits bits', ({ bits, ...c }) => {
  const codes = Uint8Array.from(c.codes);

  it('lays out MatMulNBits as numpy does, a ragged block padded with the zero point', () => {
    expect([...packMatMulNBits(codes, rows, blocks, bits)]).toEqual(c.matmulnbits);
    expect(unpackMatMulNBits(Uint8Array.from(c.matmulnbits), rows, blocks, bits)).toEqual(codes);
  });

  it('packs zero points per row', () => {
    expect([...packZeroPoints(Uint8Array.from(c.zero), rows, blocks.count, bits)]).toEqual(c.zeroPacked);
    expect([...unpackZeroPoints(Uint8Array.from(c.zeroPacked), rows, blocks.count, bits)]).toEqual(c.zero);
  });

  it('packs [K, N] flat for DequantizeLinear, signed or not', () => {
    expect([...packQdq(codes, rows, k, bits, false)]).toEqual(c.unsignedQdq);
    expect([...packQdq(codes, rows, k, bits, true)]).toEqual(c.signedQdq);
    expect(unpackQdq(Uint8Array.from(c.signedQdq), rows, k, bits, true)).toEqual(codes);
  });
});

describe('pack', () => {
  it('puts the first code lowest', () => {
    expect([...packMatMulNBits(Uint8Array.of(1, 2, 3, 0), 1, blocksOf(4, 4), 2)]).toEqual([0b00_11_10_01]);
    expect([...packMatMulNBits(Uint8Array.of(1, 2), 1, blocksOf(2, 4), 4)]).toEqual([0x21, 0x88]);
    expect([...packMatMulNBits(Uint8Array.of(1), 1, blocksOf(1, 4), 2)]).toEqual([0b10_10_10_01]);
  });

  it('is undone by unpacking, in every layout', () => {
    fc.assert(
      fc.property(samples, widths, fc.boolean(), (sample, bits, signed) => {
        const codes = sample.codes.map((code) => code >> (8 - bits));
        const packed = packMatMulNBits(codes, sample.rows, sample.blocks, bits);
        expect(packed).toHaveLength(sample.rows * rowBytes(sample.blocks, bits));
        expect(unpackMatMulNBits(packed, sample.rows, sample.blocks, bits)).toEqual(codes);
        const flat = packQdq(codes, sample.rows, sample.blocks.k, bits, signed);
        expect(unpackQdq(flat, sample.rows, sample.blocks.k, bits, signed)).toEqual(codes);
        const zeros = packZeroPoints(codes, sample.rows, sample.blocks.k, bits);
        expect(unpackZeroPoints(zeros, sample.rows, sample.blocks.k, bits)).toEqual(codes);
      }),
    );
  });

  it('packs fields of one bit, with a partly filled last byte', () => {
    const out = new Uint8Array(2);
    packFields(Uint8Array.of(1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1), 1, out);
    expect([...out]).toEqual([0b1000_1001, 0b101]);
    const back = new Uint8Array(11);
    unpackFields(out, 1, back);
    expect([...back]).toEqual([1, 0, 0, 1, 0, 0, 0, 1, 1, 0, 1]);
  });

  it('refuses blocks that do not fill bytes', () => {
    expect(() => rowBytes(blocksOf(9, 3), 4)).toThrow(expect.objectContaining({ code: 'bad-usage' }));
  });

  it('transposes across tile edges', () => {
    const data = Float32Array.from({ length: 130 * 67 }, (_, i) => i);
    const turned = transpose(data, 130, 67);
    expect(turned[5 * 130 + 129]).toBe(129 * 67 + 5);
    expect(transpose(turned, 67, 130)).toEqual(data);
  });
});
