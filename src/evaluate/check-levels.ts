/**
 * Does a graph compute the same whatever a runtime makes of it? It is run as it stands and as the runtime rewrites it, and what
 * the runtime was to compute once must not be among the nodes that ran.
 */

import { fail, isRuntimeFailure } from '../diagnostics.js';
import { type Folding, foldedNodes } from '../emit/folded.js';
import { byteSize } from '../format.js';
import type { Log } from '../log.js';
import { importModel } from '../onnx/convert/import.js';
import { type Decoder, openDecoder } from '../runtime/decoder.js';
import { readHints } from '../runtime/hints.js';
import type { ExecutedNode, OpenOptions, Runtime } from '../runtime/runtime.js';
import { copyLogits, type Logits, logitsFor } from './logits.js';

export interface LevelsOptions {
  readonly runtime: Runtime;
  /** The graph to check. */
  readonly path: string;
  /** What the graph is called in messages. */
  readonly name: string;
  /** The model it was made from, whose configuration files may say what the graph leaves open. */
  readonly source: string;
  /** A few token ids, as many as the model takes. */
  readonly ids: ArrayLike<number>;
  readonly threads: number;
  /** Options of the sessions, for tests. */
  readonly open?: OpenOptions;
  readonly log: Pick<Log, 'warn'>;
}

/**
 * Largest difference of centred logits between levels, as a share of their norm, that kernels explain. TinyStories-656K: 1 to 2 %
 * where one level has int8 activations and the other has not, 120 to 141 % where codes were packed without their scales.
 */
const EXPLAINED = 0.25;

/** Constants of the original may stay in the graph below this size: they cost nothing. */
const LARGE = 1 << 20;

/** Tokens that are enough to compare levels. */
export const LEVEL_TOKENS = 8;

/** How a session is opened that `ranIn` is asked of. */
export const OPTIMIZED: OpenOptions = { traced: true };

/**
 * Fails with `levels-differ` or `not-folded`. `optimized` is what `ranIn` found where the graph was open with all optimizations; without it
 * the graph is loaded once more.
 */
export async function checkLevels(options: LevelsOptions, optimized?: Ran): Promise<void> {
  const { path, name } = options;
  const { folded, isHalf } = factsOf(path);
  const all = optimized ?? (await runAt(options, path, OPTIMIZED));
  requireFolded(path, name, all.executed, folded);
  // Float16 operators are turned into float32 between the levels, which once went wrong at the middle ones alone.
  for (const level of isHalf ? (['disabled', 'basic'] as const) : (['disabled'] as const)) {
    const plain = await runAt(options, path, { optimization: level }).catch((error: unknown) =>
      requireSourceFails(options, level, error),
    );
    if (plain !== undefined) requireAlike(path, name, level, differenceOf(all.logits, plain.logits));
  }
}

function requireAlike(path: string, name: string, level: string, difference: number): void {
  if (difference <= EXPLAINED) return;
  const share = Number.isFinite(difference)
    ? `by ${Math.round(100 * difference)} % of their size`
    : 'beyond any number';
  fail('levels-differ', path, `Logits of ${name} differ ${share} between the optimization levels all and ${level}`);
}

/** What a session made of a few token ids, and the nodes that ran so far. */
export interface Ran {
  readonly logits: Logits;
  readonly executed: readonly ExecutedNode[];
}

/** Asks an open session, which must have been opened with `OPTIMIZED`. */
export async function ranIn(decoder: Decoder, ids: ArrayLike<number>): Promise<Ran> {
  const logits = copyLogits(await logitsFor(decoder, ids));
  return { logits, executed: decoder.session.executed?.() ?? [] };
}

async function runAt(
  { runtime, source, ids, threads, open }: LevelsOptions,
  path: string,
  level: OpenOptions,
): Promise<Ran> {
  const decoder = await openDecoder(runtime, path, { threads, ...open, ...level }, readHints(source));
  try {
    return await ranIn(decoder, ids);
  } finally {
    await decoder.session.close();
  }
}

/** A graph that does not run without optimizations is at fault only where its source runs so. */
async function requireSourceFails(
  options: LevelsOptions,
  optimization: 'disabled' | 'basic',
  error: unknown,
): Promise<undefined> {
  if (!isRuntimeFailure(error)) throw error;
  const { source, path, name, log } = options;
  const runs = await runAt(options, source, { optimization }).then(
    () => true,
    () => false,
  );
  if (runs)
    fail('levels-differ', path, `${name} does not run at the optimization level ${optimization}: ${error.message}`);
  log.warn(`${name} was not compared at the optimization level ${optimization}, at which its source does not run.`);
  return undefined;
}

/** Nothing that makes operands of quantized operators may have run. */
function requireFolded(path: string, name: string, executed: readonly ExecutedNode[], folded: Facts['folded']): void {
  const left = executed.filter((node) => {
    const kind = folded.get(node.name);
    return kind === 'operand' || (kind === 'constant' && node.outputBytes >= LARGE);
  });
  const largest = left.toSorted((a, b) => b.outputBytes - a.outputBytes)[0];
  if (largest === undefined) return;
  fail(
    'not-folded',
    path,
    `ONNX Runtime computes ${left.length} constants of ${name} at every run instead of at load, the largest at ${largest.name} (${byteSize(largest.outputBytes)})`,
  );
}

interface Facts {
  readonly folded: ReadonlyMap<string, Folding>;
  /** Whether some constant is float16 and read as it is. */
  readonly isHalf: boolean;
}

function factsOf(path: string): Facts {
  const model = importModel(path);
  const values = [...model.graph.inputs, ...model.graph.outputs, ...model.graph.initializers];
  const isHalf = values.some(({ initializer, type }) => (initializer?.dtype ?? type?.dtype) === 'float16');
  return { folded: foldedNodes(model), isHalf };
}

/** Norm of the difference of centred logits over the norm of the larger; NaN counts as infinite. */
function differenceOf(a: Logits, b: Logits): number {
  let [difference, left, right] = [0, 0, 0];
  for (let position = 0; position < a.positions; position++) {
    const [x, y] = [a.row(position), b.row(position)];
    const [meanX, meanY] = [meanOf(x), meanOf(y)];
    for (let i = 0; i < x.length; i++) {
      const [u, v] = [(x[i] as number) - meanX, (y[i] as number) - meanY];
      difference += (u - v) ** 2;
      left += u * u;
      right += v * v;
    }
  }
  const size = Math.max(left, right);
  if (size === 0) return 0;
  const share = Math.sqrt(difference / size);
  return Number.isNaN(share) ? Number.POSITIVE_INFINITY : share;
}

function meanOf(row: Float32Array): number {
  let sum = 0;
  for (const value of row) sum += value;
  return sum / row.length;
}
