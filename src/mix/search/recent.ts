/** What was used last, up to a size. */

interface Held<V> {
  readonly value: V;
  readonly size: number;
}

export class Recent<V> {
  readonly #limit: number;
  readonly #drop: (value: V) => Promise<void>;
  /** Least recently used first. */
  readonly #held: Map<string, Held<V>> = new Map();
  #used = 0;

  /** `drop` is called on whatever has to make room. */
  constructor(limit: number, drop: (value: V) => Promise<void> = async () => {}) {
    this.#limit = limit;
    this.#drop = drop;
  }

  /** The value of a key, made when it is not there. The newest stays, however large it is. */
  async get(key: string, size: number, make: () => Promise<V> | V): Promise<V> {
    const found = this.#held.get(key);
    if (found !== undefined) {
      this.#held.delete(key);
      this.#held.set(key, found);
      return found.value;
    }
    for (const [oldest, held] of this.#held) {
      if (this.#used + size <= this.#limit) break;
      this.#held.delete(oldest);
      this.#used -= held.size;
      await this.#drop(held.value);
    }
    const value = await make();
    this.#held.set(key, { value, size });
    this.#used += size;
    return value;
  }

  async clear(): Promise<void> {
    const all = [...this.#held.values()];
    this.#held.clear();
    this.#used = 0;
    for (const { value } of all) await this.#drop(value);
  }
}
