/**
 * Evaluation of candidates against a reference on windows of token ids: one pass per window from an empty cache, every
 * next-token position scored. The window loop is outermost, so a reference runs once per window for all candidates; when the
 * models do not fit the memory together, candidates are taken in groups and the reference runs once per window and group.
 */

import { availableParallelism } from 'node:os';
import { fail } from '../diagnostics.js';
import { KernelPool } from '../kernels/pool.js';
import { type Progress, silentContext } from '../log.js';
import { type FileSizes, fileSizesOf } from '../onnx/convert/file-sizes.js';
import { readHints } from '../runtime/hints.js';
import type { OpenOptions, Runtime } from '../runtime/runtime.js';
import { requireIdsBelow } from '../text/index.js';
import { evaluateApart, type Visit } from './evaluate-apart.js';
import { type Enough, evaluateGroup, type GroupSettings, type GroupSums } from './evaluate-group.js';
import { groupsOf } from './evaluate-groups.js';
import { candidateResult, referenceResult } from './evaluate-result.js';
import type { EvalResult } from './evaluate-types.js';

export interface EvaluateOptions {
  readonly runtime: Runtime;
  /** Path of the model that the others are compared with. */
  readonly reference: string;
  readonly candidates: readonly string[];
  /** Token ids, each window scored from an empty cache. */
  readonly windows: readonly ArrayLike<number>[];
  /** Threads of each session; default all cores. */
  readonly threads?: number;
  /** Bytes that open models and logits may take together; default 4 GiB. At least two models are open at a time. */
  readonly memory?: number;
  /** One model open at a time, for few positions: the logits of the reference are kept. Default false. */
  readonly apart?: boolean;
  /** With `apart`: what else to ask of each candidate while it is open. */
  readonly visit?: Visit | undefined;
  /** Session option of every model; see OpenOptions. */
  readonly accuracyLevel?: number;
  /** Measure decoding speed; default true. */
  readonly speed?: boolean;
  /** Bits per weight that a model stores, from someone who understands its graph; default 0 = not known. */
  readonly storedBitsPerWeight?: (path: string) => number | Promise<number>;
  /** Size on disk; default: graph file and the external data it refers to. */
  readonly sizes?: (path: string) => FileSizes;
  /** Ends the scoring early; see `Enough`. All windows by default. */
  readonly enough?: Enough | undefined;
  readonly progress?: Progress;
  readonly signal?: AbortSignal;
}

const DEFAULT_MEMORY = 4 * 2 ** 30;

/** Scores the reference and every candidate. Fails with `bad-ids`, `empty-text`, `unsupported-model` or `runtime-failed`. */
export async function evaluateModels(options: EvaluateOptions): Promise<EvalResult> {
  const { reference, candidates, windows } = options;
  if (windows.length === 0) fail('empty-text', reference, 'There are no windows to score');
  requireIdsBelow(windows, Infinity, reference);
  const sizes = new Map([reference, ...candidates].map((path) => [path, (options.sizes ?? fileSizesOf)(path)]));
  const size = (path: string): FileSizes => sizes.get(path) as FileSizes;
  const groups = groupsOf(candidates, reference, (path) => size(path).fileBytes, options.memory ?? DEFAULT_MEMORY);
  const done = await scoreGroups(groups, options);
  const stored = await Promise.all(candidates.map(async (path) => (await options.storedBitsPerWeight?.(path)) ?? 0));
  return {
    reference: referenceResult(longest(done), size(reference)),
    candidates: done
      .flatMap(({ reference: beside, candidates: scored }) => scored.map((candidate) => ({ candidate, beside })))
      .map(({ candidate, beside }, index) =>
        candidateResult(candidate, beside, size(candidate.path), stored[index] ?? 0),
      ),
  };
}

/** The reference as it was scored first, with the scores of the group that read most windows. */
function longest(groups: readonly GroupSums[]): GroupSums['reference'] {
  const [first, ...rest] = groups.map(({ reference }) => reference);
  const { scores } = rest.reduce(
    (most, each) => (each.scores.length > most.scores.length ? each : most),
    first as GroupSums['reference'],
  );
  return { ...(first as GroupSums['reference']), scores };
}

/** Scores group after group. */
async function scoreGroups(
  groups: readonly (readonly string[])[],
  options: EvaluateOptions,
): Promise<readonly GroupSums[]> {
  const pool = new KernelPool(options.threads ?? availableParallelism());
  const total = groups.length * options.windows.length;
  const settings = settingsOf(options, pool);
  try {
    if (options.apart)
      return [
        await evaluateApart(options.reference, options.candidates, { ...settings, offset: 0, total }, options.visit),
      ];
    const done: GroupSums[] = [];
    for (const [index, group] of groups.entries()) {
      done.push(
        await evaluateGroup(options.reference, group, { ...settings, offset: index * options.windows.length, total }),
      );
    }
    return done;
  } finally {
    await pool.close();
  }
}

function settingsOf(options: EvaluateOptions, pool: KernelPool): Omit<GroupSettings, 'offset' | 'total'> {
  const silent = silentContext(options.signal);
  const open: OpenOptions = {
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    ...(options.accuracyLevel === undefined ? {} : { accuracyLevel: options.accuracyLevel }),
  };
  return {
    runtime: options.runtime,
    pool,
    windows: options.windows,
    open,
    hints: readHints(options.reference),
    speed: options.speed ?? true,
    enough: options.enough,
    progress: options.progress ?? silent.progress,
    signal: silent.signal,
  };
}
