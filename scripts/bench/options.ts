/** Flags and settings that `bench` and `paper` share. */
import { join } from 'node:path';
import type { BenchOptions } from './measure.js';

/** For `parseArgs`. */
export const BENCH_FLAGS = {
  calibration: { type: 'string' },
  held: { type: 'string' },
  block: { type: 'string', default: '32' },
  accuracy: { type: 'string', default: '4' },
  tokens: { type: 'string', default: '32768' },
  work: { type: 'string' },
} as const;

/** What `parseArgs` gives for these flags, beside the model and its texts. */
interface FlagValues {
  readonly block: string;
  readonly accuracy: string;
  readonly tokens: string;
  readonly work?: string | undefined;
}

/** Settings of every method; sets are written into `folder`. */
export function benchOptions(
  files: Pick<BenchOptions, 'model' | 'calibration' | 'held'>,
  { block, accuracy, tokens, work }: FlagValues,
  folder: string,
): BenchOptions {
  return {
    ...files,
    block: Number(block),
    accuracy: Number(accuracy),
    tokens: Number(tokens),
    folder,
    work: work ?? join(folder, 'work'),
  };
}
