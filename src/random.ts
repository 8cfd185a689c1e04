/**
 * Seeded random numbers: the only source of chance in the compiler, the same on every machine and for any number of threads.
 * The generator is sfc32 (Chris Doty-Humphrey's Small Fast Counting generator, 128 bits of state), seeded by splitmix32.
 */

export interface Random {
  /** A float in [0, 1) with 32 random bits. */
  uniform(): number;
  /** An integer in [0, bound), without modulo bias; `bound` is at most 2^32. */
  integer(bound: number): number;
  /** A draw from the normal distribution with mean 0 and deviation 1 (Box and Muller). */
  normal(): number;
  /** A shuffled copy (Fisher and Yates). */
  shuffle<T>(items: readonly T[]): T[];
  /** An independent stream for one part of the work, so that parts may run in any order. */
  fork(label: string): Random;
}

const WORD = 2 ** 32;

/** Makes the stream of a seed (any safe integer). */
export function createRandom(seed: number): Random {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`a seed is a safe integer, not ${seed}`);
  const low = seed >>> 0;
  const high = Math.floor(seed / WORD) >>> 0;
  const words = sfc32(splitmix32(low ^ Math.imul(high, 0x9e3779b1)));
  return new Stream(words, seed);
}

class Stream implements Random {
  readonly #word: () => number;
  readonly #seed: number;

  constructor(word: () => number, seed: number) {
    this.#word = word;
    this.#seed = seed;
  }

  uniform(): number {
    return this.#word() / WORD;
  }

  integer(bound: number): number {
    if (!(Number.isInteger(bound) && bound > 0 && bound <= WORD)) throw new RangeError(`no integer below ${bound}`);
    const limit = WORD - (WORD % bound);
    let word = this.#word();
    while (word >= limit) word = this.#word();
    return word % bound;
  }

  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  shuffle<T>(items: readonly T[]): T[] {
    const copy = [...items];
    for (let last = copy.length - 1; last > 0; last--) {
      const other = this.integer(last + 1);
      [copy[last], copy[other]] = [copy[other] as T, copy[last] as T];
    }
    return copy;
  }

  fork(label: string): Random {
    return createRandom(hash(`${this.#seed}/${label}`));
  }
}

/** FNV-1a over the UTF-16 units of a label. */
function hash(label: string): number {
  let state = 0x811c9dc5;
  for (let at = 0; at < label.length; at++) state = Math.imul(state ^ label.charCodeAt(at), 0x01000193);
  return state >>> 0;
}

function splitmix32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x9e3779b9) >>> 0;
    let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return (word ^ (word >>> 15)) >>> 0;
  };
}

function sfc32(seeds: () => number): () => number {
  let [a, b, c, counter] = [seeds(), seeds(), seeds(), 1];
  const next = (): number => {
    const sum = (a + b + counter++) >>> 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) >>> 0;
    c = (((c << 21) | (c >>> 11)) + sum) >>> 0;
    return sum;
  };
  for (let warmUp = 0; warmUp < 12; warmUp++) next();
  return next;
}
