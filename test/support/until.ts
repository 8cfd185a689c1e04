/** Waits for something that happens outside of the test. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Less than the limit of a test, so that the loop ends with it. */
const LIMIT_MS = 100_000;

/** Asks every few milliseconds until the answer is neither undefined nor false. Throws after 100 s, naming what was waited for. */
export async function until<T>(
  what: string,
  ask: () => T | undefined | false | Promise<T | undefined | false>,
  everyMs = 20,
): Promise<T> {
  for (const end = performance.now() + LIMIT_MS; ; ) {
    const answer = await ask();
    if (answer !== undefined && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`${what}: not within ${LIMIT_MS / 1000} s`);
    await sleep(everyMs);
  }
}
