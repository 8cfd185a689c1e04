/** Mutations that know nothing of the format: what a bad copy, a bad disk or a bad download makes of a file. */
import type { Random } from '../../src/random.js';

/** A mutated copy and the name of what was done. */
export interface Changed {
  readonly note: string;
  readonly bytes: Uint8Array;
}

type Rule = (bytes: Uint8Array, random: Random) => Uint8Array;

/** Bytes of a varint that never ends well. */
const LONG_VARINT = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];

const RULES: Readonly<Record<string, Rule>> = {
  flip: (bytes, random) => {
    const copy = Uint8Array.from(bytes);
    for (let left = 1 + random.integer(4); left > 0; left--) {
      const at = random.integer(copy.length);
      copy[at] = (copy[at] as number) ^ (1 << random.integer(8));
    }
    return copy;
  },
  fill: (bytes, random) => {
    const at = random.integer(bytes.length);
    return Uint8Array.from(bytes).fill(random.integer(256), at, at + 1 + random.integer(32));
  },
  zeros: (bytes, random) => {
    const at = random.integer(bytes.length);
    return Uint8Array.from(bytes).fill(0, at, at + 512);
  },
  cut: (bytes, random) => bytes.slice(0, random.integer(bytes.length)),
  insert: (bytes, random) => {
    const at = random.integer(bytes.length);
    return joined(bytes.subarray(0, at), LONG_VARINT.slice(0, 1 + random.integer(10)), bytes.subarray(at));
  },
  delete: (bytes, random) => {
    const at = random.integer(bytes.length);
    return joined(bytes.subarray(0, at), bytes.subarray(at + 1 + random.integer(16)));
  },
  copy: (bytes, random) => {
    const from = random.integer(bytes.length);
    const to = random.integer(bytes.length);
    return Uint8Array.from(bytes).copyWithin(to, from, from + 1 + random.integer(200));
  },
  append: (bytes, random) => joined(bytes, bytes.subarray(random.integer(bytes.length))),
};

/** Applies one rule drawn by chance. An empty file stays empty. */
export function mutateBytes(bytes: Uint8Array, random: Random): Changed {
  const [name, rule] = pick(Object.entries(RULES), random);
  return { note: `bytes:${name}`, bytes: bytes.length === 0 ? bytes : rule(bytes, random) };
}

/** One of a list that is not empty. */
export function pick<T>(items: readonly T[], random: Random): T {
  if (items.length === 0) throw new RangeError('there is nothing to pick from');
  return items[random.integer(items.length)] as T;
}

export function joined(...pieces: readonly ArrayLike<number>[]): Uint8Array {
  const result = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    result.set(piece, at);
    at += piece.length;
  }
  return result;
}
