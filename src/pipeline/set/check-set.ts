/** The check before success is said: every emitted graph is loaded and compared with its source. */
import { join } from 'node:path';
import { fixedShapeOf } from '../../analysis/fixed-shape.js';
import { fileSizesOf } from '../../convert/file-sizes.js';
import type { SetGraph } from '../../convert/set-manifest.js';
import { CompilerError, fail } from '../../diagnostics.js';
import type { Context } from '../../log.js';
import { evaluate } from '../../report/evaluate.js';
import type { CandidateResult } from '../../report/evaluate-types.js';
import { ortRuntime } from '../../runtime/ort.js';
import type { Recipe } from '../recipe/recipe.js';
import { referenceOf } from '../reference.js';
import type { ProbeText, Scored } from '../solve/probe-text.js';
import type { Source } from '../source.js';

/** What the probe found of one graph. */
export interface Probe {
  /** KL to the source over the probe windows, nats per position. */
  readonly kl: number;
  readonly top1: number;
  readonly deltaNll: number;
  readonly positions: number;
  /** Text that nothing was learnt from, text that was, or ids that were made up, since no text was left. */
  readonly scored: Scored;
  /** On token ids that were made up: this shows that a graph works, not how good it is. */
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
  readonly threads: number;
  readonly memoryBytes: number;
}

const PROBE_TOKENS = 64;

/** A set whose graphs are to be compared with its source. */
export interface SetToCheck extends Pick<CheckOptions, 'folder' | 'graphs' | 'probe' | 'threads' | 'memoryBytes'> {
  readonly source: Source;
  /** The float source as it was given. */
  readonly model: string;
  readonly recipe: Recipe;
}

/** Compares the graphs with the source where both fit the memory; otherwise says that this was not done. */
export async function checkSet(set: SetToCheck, context: Context): Promise<Readonly<Record<string, Probe>>> {
  const { source, model, recipe, memoryBytes } = set;
  const { fileBytes } = fileSizesOf(model);
  if (2 * fileBytes > memoryBytes) {
    context.log.warn(
      `The source takes ${Math.round(fileBytes / 1e6)} MB, so the graphs were not compared with it: raise --memory to do so.`,
    );
    return {};
  }
  const reference = referenceOf(model, recipe, context);
  if (reference === undefined) return {};
  const vocabulary = source.analysis.embedding?.vocabulary ?? 256;
  const exactly = fixedShapeOf(source.model).length;
  try {
    return await checkGraphs({ ...set, source: reference.path, vocabulary, exactly }, context);
  } finally {
    reference.close();
  }
}

/** Runs source and graphs over a short probe. A graph that does not load, or gives numbers that are not finite, is an error. */
export async function checkGraphs(options: CheckOptions, context: Context): Promise<Readonly<Record<string, Probe>>> {
  const { source, folder, graphs, probe: text, threads, memoryBytes } = options;
  const windows = probeWindows(options);
  const paths = graphs.map(({ file }) => join(folder, file));
  const result = await evaluate({
    runtime: ortRuntime,
    reference: source,
    candidates: paths,
    windows,
    threads,
    memory: memoryBytes,
    speed: false,
    progress: context.progress,
    signal: context.signal,
  }).catch((error: unknown) => rethrow(error));
  const probes = result.candidates.map((score, at) => [graphs[at]?.name ?? '', probeOf(score, text.scored)] as const);
  for (const [name, probe] of probes) {
    if (!Number.isFinite(probe.kl)) fail('parity', name, `The ${name} graph gives numbers that are not finite`);
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
  throw error instanceof CompilerError && error.code === 'runtime-failed'
    ? new CompilerError('runtime-failed', error.at, `A model of the set cannot be checked: ${error.message}`)
    : error;
}
