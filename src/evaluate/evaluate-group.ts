/** One group of an evaluation: the reference and some candidates, all open, window by window. */
import { performance } from 'node:perf_hooks';
import type { KernelPool } from '../kernels/pool.js';
import type { Progress } from '../log.js';
import { type Decoder, openDecoder } from '../runtime/decoder.js';
import type { DecoderHints } from '../runtime/hints.js';
import type { OpenOptions, Runtime } from '../runtime/runtime.js';
import { requireIdsBelow } from '../text/index.js';
import type { CandidateSums, ModelSums, ReferenceSums } from './evaluate-result.js';
import { logitsFor } from './logits.js';
import { type CandidateScore, scoreCandidate, scoreReference, type WindowScore } from './score.js';
import { measureSpeed, type Speed } from './speed.js';

export interface GroupSettings {
  readonly runtime: Runtime;
  readonly pool: KernelPool;
  readonly windows: readonly ArrayLike<number>[];
  readonly open: OpenOptions;
  /** What the files beside the reference say; a candidate may stand alone in a folder. */
  readonly hints: DecoderHints;
  readonly speed: boolean;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** Windows done in earlier groups, and in all groups together. */
  readonly offset: number;
  readonly total: number;
  /** Asked for every candidate after 16, 32, 64 … windows; all of them true ends the group. */
  readonly enough?: Enough | undefined;
}

/** Whether a candidate's scores so far answer what was asked. */
export type Enough = (path: string, scores: readonly CandidateScore[], reference: readonly WindowScore[]) => boolean;

/** Windows before the first question whether they are enough; fewer give intervals that are too narrow. */
const FIRST_LOOK = 16;

/** What was found of the reference and of a group's candidates. */
export interface GroupSums {
  readonly reference: ReferenceSums;
  readonly candidates: readonly CandidateSums[];
}

export interface Opened<S extends WindowScore> {
  readonly path: string;
  readonly decoder: Decoder;
  readonly loadSeconds: number;
  readonly loadedBytes: number;
  readonly scores: S[];
}

export async function evaluateGroup(
  referencePath: string,
  paths: readonly string[],
  settings: GroupSettings,
): Promise<GroupSums> {
  const sessions: Opened<WindowScore>[] = [];
  const opened = async <S extends WindowScore>(path: string): Promise<Opened<S>> => {
    const model = await openModel<S>(path, settings);
    sessions.push(model as unknown as Opened<WindowScore>);
    return model;
  };
  try {
    const reference = await opened<WindowScore>(referencePath);
    const candidates: Opened<CandidateScore>[] = [];
    for (const path of paths) candidates.push(await opened<CandidateScore>(path));
    for (const { decoder, path } of sessions) requireIdsBelow(settings.windows, decoder.vocabulary ?? Infinity, path);
    for (const [index, ids] of settings.windows.entries()) {
      settings.signal.throwIfAborted();
      await scoreWindow(settings.pool, ids, reference, candidates);
      settings.progress.update({ stage: 'score', done: settings.offset + index + 1, total: settings.total });
      if (isEnough(index + 1, settings.enough, reference, candidates)) break;
    }
    const sums: CandidateSums[] = [];
    for (const candidate of candidates) sums.push(await finished(candidate, settings));
    // Later groups score the reference anew, but its figures are those of the first.
    return {
      reference: await finished(reference, settings.offset === 0 ? settings : { ...settings, speed: false }),
      candidates: sums,
    };
  } finally {
    for (const { decoder } of sessions) await decoder.session.close();
  }
}

export async function openModel<S extends WindowScore>(path: string, settings: GroupSettings): Promise<Opened<S>> {
  const before = process.memoryUsage.rss();
  const start = performance.now();
  const decoder = await openDecoder(settings.runtime, path, settings.open, settings.hints);
  const loadSeconds = (performance.now() - start) / 1000;
  return { path, decoder, loadSeconds, loadedBytes: Math.max(0, process.memoryUsage.rss() - before), scores: [] };
}

function isEnough(
  windows: number,
  enough: Enough | undefined,
  reference: Opened<WindowScore>,
  candidates: readonly Opened<CandidateScore>[],
): boolean {
  const isLook = windows >= FIRST_LOOK && Number.isInteger(Math.log2(windows / FIRST_LOOK));
  if (enough === undefined || !isLook) return false;
  return candidates.every(({ path, scores }) => enough(path, scores, reference.scores));
}

/** Runs every model on one window; at most two models' logits are alive at a time. */
async function scoreWindow(
  pool: KernelPool,
  ids: ArrayLike<number>,
  reference: Opened<WindowScore>,
  candidates: readonly Opened<CandidateScore>[],
): Promise<void> {
  const score = await scoreReference(pool, await logitsFor(reference.decoder, ids), ids, reference.path);
  reference.scores.push({ nll: score.nll, positions: score.positions });
  for (const { decoder, scores, path } of candidates) {
    scores.push(await scoreCandidate(pool, await logitsFor(decoder, ids), ids, score, path));
  }
}

export async function finished<S extends WindowScore>(
  model: Opened<S>,
  settings: GroupSettings,
): Promise<ModelSums<S>> {
  const { path, loadSeconds, loadedBytes, scores } = model;
  const speed: Speed | undefined = settings.speed
    ? await measureSpeed(model.decoder, settings.windows[0] as ArrayLike<number>)
    : undefined;
  return { path, loadSeconds, loadedBytes, speed, scores };
}
