/** Where pieces of a data file are kept between visits. */

/** Where pieces of a data file are kept between visits. */
export interface Store {
  /** The bytes under a key, or undefined. */
  read(key: string): Promise<Uint8Array | undefined>;
  write(key: string, bytes: Uint8Array): Promise<void>;
}

/** The part of the Cache API that is used. */
interface CacheLike {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
}

const CACHE = 'matquant';

/**
 * The browser's Cache Storage; keys are digests, so a piece that two sets share is kept once. A page that may not store anything
 * (private windows, no space left) goes on without.
 */
export function browserStore(): Store {
  const { caches } = globalThis as { caches?: { open(name: string): Promise<CacheLike> } };
  const urlOf = (key: string): string => `https://matquant.invalid/${key}`;
  const cache = caches?.open(CACHE).catch(() => undefined);
  return {
    async read(key) {
      const found = await (await cache)?.match(urlOf(key)).catch(() => undefined);
      return found === undefined ? undefined : new Uint8Array(await found.arrayBuffer());
    },
    async write(key, bytes) {
      await (await cache)?.put(urlOf(key), new Response(bytes as Uint8Array<ArrayBuffer>)).catch(() => undefined);
    },
  };
}

/** A store that keeps nothing. */
export const noStore: Store = { read: async () => undefined, write: async () => undefined };
