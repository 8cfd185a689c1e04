/** Where parts of a data file are kept between visits. */
export interface Store {
  /** The bytes under a key, or undefined. */
  read(key: string): Promise<Uint8Array | undefined>;
  /** Returns whether the bytes are kept. */
  write(key: string, bytes: Uint8Array): Promise<boolean>;
  remove(key: string): Promise<void>;
}

/** The part of the Cache API that is used. */
interface CacheLike {
  match(url: string): Promise<Response | undefined>;
  put(url: string, response: Response): Promise<void>;
  delete(url: string): Promise<boolean>;
}

const CACHE = 'matquant';

/**
 * The browser's Cache Storage, under the name `matquant`; keys are digests, so a piece that two sets share is kept once. A page
 * that may not store anything (private windows, pages without HTTPS, no space left) goes on without.
 */
export function browserStore(): Store {
  const { caches } = globalThis as { caches?: { open(name: string): Promise<CacheLike> } };
  const urlOf = (key: string): string => `https://matquant.invalid/${key}`;
  const opened = caches?.open(CACHE).catch(() => undefined);
  let isFull = false;
  return {
    async read(key) {
      const found = await (await opened)?.match(urlOf(key)).catch(() => undefined);
      const bytes = await found?.arrayBuffer().catch(() => undefined);
      return bytes && new Uint8Array(bytes);
    },
    async write(key, bytes) {
      const cache = await opened;
      if (cache === undefined || isFull) return false;
      const put = cache.put(urlOf(key), new Response(bytes as Uint8Array<ArrayBuffer>));
      return put.then(
        () => true,
        () => {
          isFull = true;
          return false;
        },
      );
    },
    async remove(key) {
      await (await opened)?.delete(urlOf(key)).catch(() => undefined);
    },
  };
}

/** A store that keeps nothing. */
export const noStore: Store = {
  read: async () => undefined,
  write: async () => false,
  remove: async () => undefined,
};
