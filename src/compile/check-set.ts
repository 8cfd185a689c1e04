/** The check before success is said: every emitted graph is loaded and compared with its source. */

import { join } from 'node:path';
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { CompilerError, fail, isRuntimeFailure } from '../diagnostics.js';
import {
  type CandidateResult,
  checkLevels,
  evaluateModels,
  LEVEL_TOKENS,
  OPTIMIZED,
  type Ran,
  ranIn,
  referenceOf,
} from '../evaluate/index.js';
import { fileSizesOf } from '../onnx/convert/file-sizes.js';
import { ortRuntime } from '../runtime/ort.js';
import type { SetGraph } from '../set/index.js';
import type { ProbeText, Scored } from '../solve/index.js';
import { type Source, vocabularyOf } from '../source/index.js';
import type { Job } from './open.js';

/** Comparison of one graph with the source after compiling. */
export interface Probe {
  /** KL to the source over the probe windows, nats per position. */
  readonly kl: number;
  /** Share of positions with the same most likely token. */
  readonly top1: number;
  /** NLL minus that of the source, nats per position; meaningless for random ids. */
  readonly deltaNll: number;
  /** Scored positions. */
  readonly positions: number;
  /** Held-out text, text that was used for calibration, or random ids if no text was left. */
  readonly scored: Scored;
  /** True for random ids: the check then shows that a graph works, not how good it is. */
  readonly isRandom: boolean;
}

const PROBE_TOKENS = 64;

/** Process, kernels and what the stages before have left behind. */
const BASE = 500e6;
/** Of the bytes of a model, at the worst moment of loading it: 1.53 for one file, 1.61 for a file and its data (Gemma 3 270M). */
const LOADING = 1.65;

/** Bytes at the worst moment of the check, which has one model open at a time and the logits of the probe twice. */
export function checkMemory(model: string, { analysis }: Pick<Source, 'analysis'>): number {
  const logits = 2 * PROBE_TOKENS * (analysis.embedding?.vocabulary ?? 256) * 4;
  return BASE + LOADING * fileSizesOf(model).fileBytes + 2 * logits;
}

/** A graph of the set, in its folder. */
type Graph = Pick<SetGraph, 'name' | 'file'>;

/** The stage that checks: compares the graphs of a folder with the source where both fit the memory; otherwise says that this was not done. */
export async function check(
  folder: string,
  job: Job,
  graphs: readonly Graph[],
  probe: ProbeText,
): Promise<Readonly<Record<string, Probe>>> {
  const { source, machine, options, context, clock } = job;
  const { model, recipe } = options;
  const need = checkMemory(model, source);
  const isTooLarge = need > machine.memoryBytes;
  if (isTooLarge)
    context.log.warn(
      `The graphs were not compared with the source, because this needs ${Math.ceil(need / 1e6)} MB: raise the memory limit.`,
    );
  const reference = isTooLarge ? undefined : referenceOf(model, recipe, context);
  try {
    if (reference === undefined) return {};
    const placed = graphs.map(({ name, file }) => ({ name, path: join(folder, file) }));
    return await checkGraphs(job, reference.path, placed, probe);
  } finally {
    reference?.close();
    clock.lap('check');
  }
}

/** Runs reference and graphs over a short probe. A graph that does not load, or gives numbers that are not finite, is an error. */
async function checkGraphs(
  { source, machine: { threads }, context }: Job,
  reference: string,
  graphs: readonly { readonly name: string; readonly path: string }[],
  text: ProbeText,
): Promise<Readonly<Record<string, Probe>>> {
  const windows = probeWindows(source, text);
  const ids = (windows[0] as Int32Array).slice(0, fixedShapeOf(source.model).length ?? LEVEL_TOKENS);
  const ran = new Map<string, Ran>();
  const result = await evaluateModels({
    runtime: ortRuntime,
    reference,
    candidates: graphs.map(({ path }) => path),
    windows,
    threads,
    apart: true,
    visit: { open: OPTIMIZED, done: async (path, decoder) => void ran.set(path, await ranIn(decoder, ids)) },
    speed: false,
    progress: context.progress,
    signal: context.signal,
  }).catch((error: unknown) => rethrow(error));
  const probes = result.candidates.map((score, at) => [graphs[at]?.name ?? '', probeOf(score, text.scored)] as const);
  for (const [name, probe] of probes) {
    if (!Number.isFinite(probe.kl)) fail('parity', name, `The logits of the ${name} graph are not finite`);
  }
  for (const graph of graphs) {
    const options = { runtime: ortRuntime, ...graph, source: reference, ids, threads, log: context.log };
    await checkLevels(options, ran.get(graph.path));
    context.signal.throwIfAborted();
  }
  return Object.fromEntries(probes);
}

const probeOf = ({ kl, top1, deltaNll, positions }: CandidateResult, scored: Scored): Probe => ({
  kl,
  top1,
  deltaNll,
  positions,
  scored,
  isRandom: scored === 'random ids',
});

/** The windows of the probe, or ids spread over the vocabulary. */
function probeWindows(source: Source, { windows }: ProbeText): readonly Int32Array[] {
  if (windows.length > 0) return windows;
  const vocabulary = vocabularyOf(source) ?? 256;
  const length = fixedShapeOf(source.model).length ?? PROBE_TOKENS / 2;
  return [Int32Array.from({ length }, (_, at) => 1 + ((at * 7919) % Math.max(1, vocabulary - 1)))];
}

function rethrow(error: unknown): never {
  throw isRuntimeFailure(error)
    ? new CompilerError(error.code, error.at, `A model of the set cannot be checked: ${error.message}`)
    : error;
}
