/** The check before success is said: every emitted graph is loaded and compared with its source. */

import { join } from 'node:path';
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import { CompilerError, fail, isRuntimeFailure } from '../diagnostics.js';
import { type CandidateResult, checkLevels, evaluateModels, LEVEL_TOKENS, referenceOf } from '../evaluate/index.js';
import type { Machine } from '../files/machine.js';
import type { Context } from '../log.js';
import { fileSizesOf } from '../onnx/convert/file-sizes.js';
import type { Recipe } from '../recipe/index.js';
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

export interface CheckOptions {
  /** The float source. */
  readonly source: string;
  readonly folder: string;
  readonly graphs: readonly Pick<SetGraph, 'name' | 'file'>[];
  /** What is scored; some ids where there are no windows. */
  readonly probe: ProbeText;
  readonly vocabulary: number;
  /** Tokens of a text, for a model that takes no other number. */
  readonly exactly: number | undefined;
  readonly machine: Machine;
}

const PROBE_TOKENS = 64;

/** A set whose graphs are to be compared with its source. */
export interface SetToCheck extends Pick<CheckOptions, 'folder' | 'graphs' | 'probe' | 'machine'> {
  readonly source: Source;
  /** The float source as it was given. */
  readonly model: string;
  readonly recipe: Recipe;
}

/** Process, kernels and what the stages before have left behind. */
const BASE = 500e6;
/** Of the bytes of a model, at the worst moment of loading it: 1.53 for one file, 1.61 for a file and its data (Gemma 3 270M). */
const LOADING = 1.65;

/** Bytes at the worst moment of the check, which has one model open at a time and the logits of the probe twice. */
export function checkMemory(model: string, { analysis }: Pick<Source, 'analysis'>): number {
  const logits = 2 * PROBE_TOKENS * (analysis.embedding?.vocabulary ?? 256) * 4;
  return BASE + LOADING * fileSizesOf(model).fileBytes + 2 * logits;
}

/** The stage that checks: models of a folder beside their source. */
export async function check(
  folder: string,
  { source, machine, options, context, clock }: Job,
  graphs: CheckOptions['graphs'],
  probe: ProbeText,
): Promise<Readonly<Record<string, Probe>>> {
  const { model, recipe } = options;
  const quality = await checkSet({ source, model, recipe, folder, graphs, probe, machine }, context);
  clock.lap('check');
  return quality;
}

/** Compares the graphs with the source where both fit the memory; otherwise says that this was not done. */
export async function checkSet(set: SetToCheck, context: Context): Promise<Readonly<Record<string, Probe>>> {
  const { source, model, recipe, machine } = set;
  const need = checkMemory(model, source);
  if (need > machine.memoryBytes) {
    context.log.warn(
      `The graphs were not compared with the source, because this needs ${Math.ceil(need / 1e6)} MB: raise the memory limit.`,
    );
    return {};
  }
  const reference = referenceOf(model, recipe, context);
  if (reference === undefined) return {};
  const vocabulary = vocabularyOf(source) ?? 256;
  const exactly = fixedShapeOf(source.model).length;
  try {
    return await checkGraphs({ ...set, source: reference.path, vocabulary, exactly }, context);
  } finally {
    reference.close();
  }
}

/** Runs source and graphs over a short probe. A graph that does not load, or gives numbers that are not finite, is an error. */
export async function checkGraphs(options: CheckOptions, context: Context): Promise<Readonly<Record<string, Probe>>> {
  const { source, folder, graphs, probe: text, machine } = options;
  const { threads } = machine;
  const windows = probeWindows(options);
  const paths = graphs.map(({ file }) => join(folder, file));
  const result = await evaluateModels({
    runtime: ortRuntime,
    reference: source,
    candidates: paths,
    windows,
    threads,
    apart: true,
    speed: false,
    progress: context.progress,
    signal: context.signal,
  }).catch((error: unknown) => rethrow(error));
  const probes = result.candidates.map((score, at) => [graphs[at]?.name ?? '', probeOf(score, text.scored)] as const);
  for (const [name, probe] of probes) {
    if (!Number.isFinite(probe.kl)) fail('parity', name, `The logits of the ${name} graph are not finite`);
  }
  const ids = (windows[0] as Int32Array).slice(0, options.exactly ?? LEVEL_TOKENS);
  for (const { name, file } of graphs) {
    const path = join(folder, file);
    await checkLevels({ runtime: ortRuntime, path, name, source, ids, threads, log: context.log });
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
function probeWindows({ probe: { windows }, vocabulary, exactly }: CheckOptions): readonly Int32Array[] {
  if (windows.length > 0) return windows;
  const length = exactly ?? PROBE_TOKENS / 2;
  return [Int32Array.from({ length }, (_, at) => 1 + ((at * 7919) % Math.max(1, vocabulary - 1)))];
}

function rethrow(error: unknown): never {
  throw isRuntimeFailure(error)
    ? new CompilerError(error.code, error.at, `A model of the set cannot be checked: ${error.message}`)
    : error;
}
