/**
 * Bit planes: the parent's codes cut into fields, highest bits first, so that a model of r bits reads only the planes above
 * bit 8−r. For the chain 2, 3, 4, 6, 8 the planes are 2, 1, 1, 2 and 2 bits wide. A step that is not 1, 2, 4 or 8 bits becomes
 * several planes (5 = 4 + 1), because fields that fill bytes are what a graph of uint8 operators can join.
 */
import { fail } from '../diagnostics.js';
import type { Blocks } from './grid.js';
import { type FieldBits, rowBytes } from './pack.js';
import type { Precision } from './precision.js';

/** One plane: `width` bits of the parent code, below the `above` bits that earlier planes hold. */
export interface Plane {
  readonly above: number;
  readonly width: FieldBits;
  /** The smallest precision of the chain that reads this plane. */
  readonly precision: Precision;
}

/** Padding past K is this parent code, whose every prefix is the zero point of its container. */
const PADDING = 128;

const WIDTHS: Record<number, readonly FieldBits[]> = {
  1: [1],
  2: [2],
  3: [2, 1],
  4: [4],
  5: [4, 1],
  6: [4, 2],
  7: [4, 2, 1],
  8: [8],
};

/** The planes of a chain of precisions, in storage order. The chain may be given in any order. */
export function planPlanes(chain: readonly Precision[]): readonly Plane[] {
  if (chain.length === 0) fail('bad-usage', 'bits', 'the chain of precisions is empty');
  const planes: Plane[] = [];
  let above = 0;
  for (const precision of chain.toSorted((a, b) => a - b)) {
    for (const width of WIDTHS[precision - above] ?? []) {
      planes.push({ above, width, precision });
      above += width;
    }
  }
  return planes;
}

/**
 * The bytes of one plane of parent codes [rows, K], as MatMulNBits packs codes of its width: [rows, count, block · width/8], first
 * field lowest. A first plane of 2, 4 or 8 bits is then the weight of that model itself, with nothing to join.
 */
export function packPlane(codes: Uint8Array, rows: number, blocks: Blocks, plane: Plane): Uint8Array {
  const out = new Uint8Array(rows * rowBytes(blocks, plane.width));
  const width = blocks.count * blocks.block;
  if (width === blocks.k) {
    packWhole(codes, plane, out);
    return out;
  }
  const padded = new Uint8Array(width).fill(PADDING);
  const stride = out.length / rows;
  for (let row = 0; row < rows; row++) {
    padded.set(codes.subarray(row * blocks.k, (row + 1) * blocks.k));
    packWhole(padded, plane, out.subarray(row * stride, (row + 1) * stride));
  }
  return out;
}

/**
 * The fields of whole bytes of a plane, four codes of a little-endian word at a time: 0.25 to 0.35 ns per code and plane against
 * 0.6 one by one, and 7B weights have 5 planes of 5.6 * 10^9 codes. `codes` are whole words: blocks have 16 or more.
 */
function packWhole(codes: Uint8Array, { above, width }: Plane, out: Uint8Array): void {
  if (width === 8) {
    out.set(codes);
    return;
  }
  const whole = codes.byteOffset % 4 === 0 ? codes : codes.slice();
  PACKERS[width](new Int32Array(whole.buffer, whole.byteOffset, whole.length / 4), 8 - above - width, out);
}

/** One loop per width; `drop` low bits of every code go. */
const PACKERS: Readonly<Record<1 | 2 | 4, (words: Int32Array, drop: number, out: Uint8Array) => void>> = {
  1: (words, drop, out) => {
    const nibble = (at: number): number => {
      const word = ((words[at] as number) >>> drop) & 0x01010101;
      return (word | (word >>> 7) | (word >>> 14) | (word >>> 21)) & 15;
    };
    for (let b = 0; b < out.length; b++) out[b] = nibble(2 * b) | (nibble(2 * b + 1) << 4);
  },
  2: (words, drop, out) => {
    for (let b = 0; b < out.length; b++) {
      const word = ((words[b] as number) >>> drop) & 0x03030303;
      out[b] = word | (word >>> 6) | (word >>> 12) | (word >>> 18);
    }
  },
  4: (words, drop, out) => {
    for (let i = 0; i < words.length; i++) {
      const word = ((words[i] as number) >>> drop) & 0x0f0f0f0f;
      out[2 * i] = word | (word >>> 4);
      out[2 * i + 1] = (word >>> 16) | (word >>> 20);
    }
  },
};
