/** How many threads are worth starting. */
import { availableParallelism } from 'node:os';

/** Started on request even where there are fewer processors. */
const ALWAYS = 4;

/**
 * The number of threads that are started when `asked` are asked for: at most two for each processor. More only wait for each other:
 * compiling a model of 656,000 weights on 2 busy processors took 8 minutes with 256 threads, and 20 seconds with 4. Results are the
 * same for any number.
 */
export function usefulThreads(asked: number = availableParallelism()): number {
  return Math.max(1, Math.min(asked, Math.max(ALWAYS, 2 * availableParallelism())));
}
