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

/**
 * Joins the planes of `codes` container codes (a multiple of 16) into bytes [codes · container/8], in the beginning of `into`
 * where it is given and begins at a whole word.
 */
export function joinPieces(
  planes: readonly WidePlane[],
  codes: number,
  container: number,
  into?: Uint8Array,
): Uint8Array {
  const out = wordsOf((codes * container) / 32, into);
  const perRound = (ROUND * 8) / container;
  const passes = planes.map(({ bytes, widening }) => ({ bytes, widening, table: wordTable(widening) }));
  const fused = FUSED[planes.map(({ widening: { width } }) => container / width).join()];
  for (let from = 0; from < codes; from += perRound) {
    const to = Math.min(from + perRound, codes);
    const words = out.subarray((from * container) / 32, (to * container) / 32);
    const parts = passes.map(({ bytes, widening: { width }, table }) => {
      return { width, bytes: bytes.subarray((from * width) / 8, (to * width) / 8), table };
    });
    if (fused !== undefined) fused(words, parts);
    else {
      words.fill(0);
      for (const { width, bytes, table } of parts) PASSES[container / width]?.(words, bytes, table);
    }
  }
  return new Uint8Array(out.buffer, out.byteOffset, out.byteLength);
}

function wordsOf(length: number, into: Uint8Array | undefined): Int32Array {
  if (into === undefined || into.byteOffset % 4 !== 0 || into.length < 4 * length) return new Int32Array(length);
  return new Int32Array(into.buffer, into.byteOffset, length);
}

interface Part {
  readonly bytes: Uint8Array;
  readonly table: Int32Array;
}

/** All planes of int3 and int4 of the usual chain in one pass, which writes each word once: half the time. */
const FUSED: Readonly<Record<string, (words: Int32Array, parts: readonly Part[]) => void>> = {
  '2,4': (words, [two, one]) => {
    const [{ bytes: a, table: s }, { bytes: b, table: t }] = [two as Part, one as Part];
    for (let i = 0, at = 0; i < words.length; i++, at += 2) {
      const low = (s[a[at] as number] as number) | (t[b[i] as number] as number);
      words[i] = low | ((s[a[at + 1] as number] as number) << 16);
    }
  },
  '2,4,4': (words, [two, one, last]) => {
    const [{ bytes: a, table: s }, { bytes: b, table: t }, { bytes: c, table: u }] = [two, one, last] as [
      Part,
      Part,
      Part,
    ];
    for (let i = 0, at = 0; i < words.length; i++, at += 2) {
      const low = (s[a[at] as number] as number) | (t[b[i] as number] as number) | (u[c[i] as number] as number);
      words[i] = low | ((s[a[at + 1] as number] as number) << 16);
    }
  },
};

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
