/** Requests to an object store: tried again while it does not answer, and errors in words. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { StoreAddress } from './address.js';
import { isPassing, storeError } from './errors.js';

/** Milliseconds before each further try: half a minute together. */
const PAUSES: readonly number[] = [250, 500, 1000, 2000, 4000, 8000, 16_000];

export class Requests {
  readonly #address: StoreAddress;
  /** A store that has never answered is more likely the wrong one than one that is away. */
  #hasAnswered = false;

  constructor(address: StoreAddress) {
    this.#address = address;
  }

  /** An error as a user sees it. */
  explained(error: unknown): Error {
    return storeError(error, this.#address);
  }

  /** What `send` gives. `expected` may turn an error into an answer; others are `store` errors in the end. */
  async run<T>(send: () => Promise<T>, expected: (error: unknown) => T | undefined = () => undefined): Promise<T> {
    for (let tried = 0; ; tried++) {
      try {
        const answer = await send();
        this.#hasAnswered = true;
        return answer;
      } catch (error) {
        const answer = expected(error);
        if (answer !== undefined) {
          this.#hasAnswered = true;
          return answer;
        }
        const pause = PAUSES[tried];
        if (!isPassing(error) || !this.#hasAnswered || pause === undefined) throw this.explained(error);
        await sleep(pause);
      }
    }
  }
}
