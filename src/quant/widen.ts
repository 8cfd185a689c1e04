/**
 * Bit planes to container codes at memory speed, in pieces: the plain counterpart of the graph that joins planes at load.
 * Pieces keep memory bounded; within one, every plane is one pass of table look-ups over 32-bit words.
 */
import { type Widening, widenTable } from './join-table.js';

/** The bytes of a plane for the codes at hand, and where its fields go. */
export interface WidePlane {
  readonly bytes: Uint8Array;
  readonly widening: Widening;
}

/** Bytes of output per round, so that all passes over them stay in the second-level cache. */
const ROUND = 128 * 1024;

/** Joins the planes of `codes` container codes (a multiple of 16) into bytes [codes · container/8]. */
export function joinPieces(planes: readonly WidePlane[], codes: number, container: number): Uint8Array {
  const out = new Int32Array((codes * container) / 32);
  const perRound = (ROUND * 8) / container;
  const passes = planes.map(({ bytes, widening }) => ({ bytes, widening, table: wordTable(widening) }));
  for (let from = 0; from < codes; from += perRound) {
    const to = Math.min(from + perRound, codes);
    const words = out.subarray((from * container) / 32, (to * container) / 32);
    for (const { bytes, widening, table } of passes) {
      const { width } = widening;
      PASSES[container / width]?.(words, bytes.subarray((from * width) / 8, (to * width) / 8), table);
    }
  }
  return new Uint8Array(out.buffer);
}

/** A pass for each ratio of container to field width: 1 copies, 2 fills half words, 4 words, 8 pairs of words. */
const PASSES: Readonly<Record<number, (words: Int32Array, bytes: Uint8Array, table: Int32Array) => void>> = {
  1: (words, bytes, table) => {
    for (let i = 0, at = 0; i < words.length; i++, at += 4) {
      const low = (table[bytes[at] as number] as number) | ((table[bytes[at + 1] as number] as number) << 8);
      const high = (table[bytes[at + 2] as number] as number) | ((table[bytes[at + 3] as number] as number) << 8);
      words[i] = (words[i] as number) | low | (high << 16);
    }
  },
  2: (words, bytes, table) => {
    for (let i = 0, at = 0; i < words.length; i++, at += 2) {
      const high = table[bytes[at + 1] as number] as number;
      words[i] = (words[i] as number) | (table[bytes[at] as number] as number) | (high << 16);
    }
  },
  4: (words, bytes, table) => {
    for (let i = 0; i < words.length; i++) words[i] = (words[i] as number) | (table[bytes[i] as number] as number);
  },
  8: (words, bytes, table) => {
    for (let i = 0; i < bytes.length; i++) {
      const row = 2 * (bytes[i] as number);
      words[2 * i] = (words[2 * i] as number) | (table[row] as number);
      words[2 * i + 1] = (words[2 * i + 1] as number) | (table[row + 1] as number);
    }
  },
};

const tables: Map<string, Int32Array> = new Map();

/** The rows of `widenTable` as numbers: one per byte, two where a row has eight bytes. */
function wordTable(widening: Widening): Int32Array {
  const key = `${widening.width}/${widening.lift}/${widening.container}`;
  const known = tables.get(key);
  if (known !== undefined) return known;
  const rows = widenTable(widening);
  const row = Math.min(rows.length / 256, 4);
  const table = Int32Array.from({ length: rows.length / row }, (_, at) => {
    let word = 0;
    for (let i = 0; i < row; i++) word += (rows[at * row + i] as number) * 2 ** (8 * i);
    return word | 0;
  });
  tables.set(key, table);
  return table;
}
