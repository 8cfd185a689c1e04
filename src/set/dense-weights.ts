/** Weights of a set as plain numbers, for running a model at any mix of precisions without writing it. */
import { fail } from '../diagnostics.js';
import { effectiveBits, type ProjectionPlace, placeBlocks, tableAt, tableBlocks } from '../quant/layout.js';
import { transpose, unpackMatMulNBits } from '../quant/pack.js';
import { containerBits, type Precision } from '../quant/precision.js';
import { decodeConstants } from '../quant/slice.js';
import { type CentredTable, decodeCentred } from '../quant/tables.js';
import { packPrefix, readColumn, type SetReader, storedBias } from './packed.js';

/** Ŵ [k, n] of a projection at one precision, as a graph of the set computes it; then its bias, where some precision has one. */
export function denseWeights(reader: SetReader, place: ProjectionPlace, asked: number): Float32Array {
  const bits = effectiveBits(place, asked);
  const container = containerBits(bits);
  const packed = packPrefix(reader, place, bits).codes.bytes();
  const codes = unpackMatMulNBits(packed, place.n, placeBlocks(place), container);
  const table = centredTable(reader, place, bits);
  const dense = transpose(decodeCentred(codes, tableBlocks(place), table, container), place.n, place.k);
  if (!place.tables.some(({ bias }) => bias)) return dense;
  const whole = new Float32Array(dense.length + place.n);
  whole.set(dense);
  whole.set(storedBias(reader, place, bits) ?? [], dense.length);
  return whole;
}

/** The stored table as Ŵ = scale · (C − 2^(m−1)) + offset over the codes of the container. */
function centredTable(reader: SetReader, place: ProjectionPlace, bits: Precision): CentredTable {
  const { decode } = reader.layout;
  const table = tableAt(place, bits, decode);
  const entries = place.n * place.columns;
  const column = readColumn(reader, table.scale, entries);
  const lift = containerBits(bits) - bits;
  if (decode === 'signed') return { scale: column, offset: new Float32Array(entries) };
  if (decode === 'mid') return { scale: column, offset: column.map((a) => (a * 2 ** lift) / 2) };
  if (decode === 'ab') {
    const offset = table.offset ?? fail('not-a-set', place.id, 'A table of the set has no offsets');
    return { scale: column, offset: readColumn(reader, offset, entries) };
  }
  const zero = table.zero && reader.tensor(table.zero, 'uint8', [entries]).bytes();
  const { shift } = decodeConstants('prefix', bits);
  return {
    scale: column.map((a) => a * 2 ** (8 - containerBits(bits))),
    offset: column.map((a, i) => a * (128 + shift - (zero?.[i] ?? 128))),
  };
}
