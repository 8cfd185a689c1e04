/**
 * The weights of the precisions, chosen as MatQuant does: each candidate is compiled on part of the calibration text and scored on
 * the held-out part.
 */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { evaluate } from '../evaluate/index.js';
import { temporaryFolder } from '../files/temporary.js';
import { type Context, silentContext } from '../log.js';
import { checkOptions, type RecipeTaking, recipeOf } from '../options/index.js';
import { guardOutputs } from '../outputs/index.js';
import { nameOf, type Recipe } from '../recipe/index.js';
import { slice } from '../set/index.js';
import { type AskedInputs, withResolved } from '../source/index.js';
import { readWindows, type TextInput, type TextOptions, textFiles } from '../text/index.js';
import { compile } from './compile.js';

/** The options of `searchLambda` with all defaults filled in; `LambdaSearchInput` is what a caller passes. */
export interface LambdaSearchOptions {
  /** ONNX file of a float export. */
  readonly model: string;
  /** How each candidate is compiled. */
  readonly recipe: Recipe;
  /** Weights by precision, one object per candidate. */
  readonly candidates: readonly Readonly<Record<number, number>>[];
  /** Calibration text; windows after the calibration windows are held out for scoring. */
  readonly text: TextOptions;
  /** Number of held-out windows that candidates are scored on. */
  readonly kept: number;
  /** Worker threads. */
  readonly threads: number;
  /** Bytes of memory to plan for. */
  readonly memoryBytes: number;
  /** Random seed. */
  readonly seed: number;
  /** Folder of results that a later run reuses. */
  readonly work?: string;
}

/** The score of one candidate. */
export interface LambdaRow {
  readonly lambda: Readonly<Record<number, number>>;
  /** KL to the float model on held-out text, nats per position, by precision. */
  readonly kl: Readonly<Record<number, number>>;
  /** Sum of the KL over the precisions. */
  readonly sum: number;
  /** No other candidate is at least as good at every precision. */
  readonly isFront: boolean;
  readonly seconds: number;
}

/** The scores of all candidates. */
export interface LambdaSearchResult {
  readonly windows: number;
  readonly kept: number;
  readonly positions: number;
  readonly rows: readonly LambdaRow[];
  /** The candidate with the smallest sum. */
  readonly best: Readonly<Record<number, number>>;
}

/** What `searchLambda` takes; the recipe is `best` by default. */
export type LambdaSearchInput = RecipeTaking<
  Omit<LambdaSearchOptions, 'text'>,
  'kept' | 'threads' | 'memoryBytes' | 'seed'
> &
  Pick<AskedInputs, 'file' | 'hub'> & { readonly text: TextInput };

/**
 * Compiles the model with each candidate for the weights of the precisions and scores it on held-out calibration text. Fails
 * with `bad-usage` for invalid options.
 */
export async function searchLambda(
  input: LambdaSearchInput,
  context: Context = silentContext(),
): Promise<LambdaSearchResult> {
  const asked = checkOptions<LambdaSearchOptions & AskedInputs>('lambda', input);
  const recipe = recipeOf(asked);
  const need = {
    part: 'calibration',
    tokens: recipe.tokens + asked.kept * recipe.window,
    window: recipe.window,
  } as const;
  return withResolved(asked.model, asked, need, context, ({ folder, text }) =>
    searchFiles({ ...asked, text: text as TextOptions, model: folder.graph, recipe }, context),
  );
}

async function searchFiles(options: LambdaSearchOptions, context: Context): Promise<LambdaSearchResult> {
  const { model, recipe, kept, candidates, text, work } = options;
  guardOutputs({ models: [model], inputs: textFiles(text), files: [], folders: [work] });
  const wanted = Math.ceil(recipe.tokens / recipe.window) + kept;
  const windows = readWindows(options.text, { window: recipe.window, limit: wanted });
  if (windows.length <= kept)
    fail('empty-text', 'text', `The text has ${windows.length} windows, of which ${kept} are to be held out`);
  const folder = temporaryFolder('lambda');
  try {
    const write = (name: string, list: readonly Int32Array[]): TextOptions => {
      const path = join(folder, name);
      writeFileSync(path, list.map((window) => `${JSON.stringify([...window])}\n`).join(''));
      return { ids: path };
    };
    const texts = {
      calibration: write('calibration.jsonl', windows.slice(0, -kept)),
      kept: write('kept.jsonl', windows.slice(-kept)),
    };
    const scored: Scored[] = [];
    for (const lambda of candidates) {
      context.progress.update({
        stage: 'lambda',
        done: scored.length,
        total: candidates.length,
        detail: nameOf(lambda),
      });
      scored.push(await score(lambda, join(folder, `set${scored.length}`), texts, options, context));
    }
    const rows = scored.map((row) => ({ ...row, isFront: !scored.some((other) => dominates(other, row)) }));
    const best = rows.reduce((least, row) => (row.sum < least.sum ? row : least));
    return {
      windows: windows.length - kept,
      kept,
      positions: scored[0]?.positions ?? 0,
      rows: rows.map(({ positions: _, ...row }) => row),
      best: best.lambda,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Scored = Omit<LambdaRow, 'isFront'> & { readonly positions: number };

/** Compiles and scores one candidate; its set is removed again. */
async function score(
  lambda: Readonly<Record<number, number>>,
  output: string,
  texts: { readonly calibration: TextOptions; readonly kept: TextOptions },
  { model, recipe, threads, memoryBytes, seed, work }: LambdaSearchOptions,
  context: Context,
): Promise<Scored> {
  const started = performance.now();
  const machine = { threads, memoryBytes, seed, standalone: false, strict: false, ...(work !== undefined && { work }) };
  const own = { ...recipe, lambda };
  await compile({ model, output, name: 'm', recipe: own, text: texts.calibration, ...machine }, context);
  const candidates: string[] = [];
  for (const bits of recipe.bits) candidates.push(await graphOf(output, bits, recipe, context));
  const { candidates: scores, reference } = await evaluate(
    { reference: model, candidates, text: texts.kept, window: recipe.window, threads, memoryBytes, speed: false },
    context,
  );
  rmSync(output, { recursive: true, force: true });
  const kl = Object.fromEntries(recipe.bits.map((bits, at) => [bits, scores[at]?.kl ?? Number.NaN]));
  return {
    lambda,
    kl,
    sum: Object.values(kl).reduce((sum, each) => sum + each, 0),
    seconds: (performance.now() - started) / 1000,
    positions: reference.positions,
  };
}

/** The graph of a precision, cut from the set where the slices of the recipe are no bit prefix. */
async function graphOf(folder: string, bits: number, { slice: kind }: Recipe, context: Context): Promise<string> {
  if (kind === 'prefix') return join(folder, `m_int${bits}.onnx`);
  const output = join(folder, `${kind}${bits}.onnx`);
  await slice({ set: join(folder, 'm.json'), bits, output, standalone: true, slice: kind }, context);
  return output;
}

function dominates(a: Scored, b: Scored): boolean {
  const pairs = Object.keys(b.kl).map((bits) => [a.kl[Number(bits)] ?? 0, b.kl[Number(bits)] ?? 0] as const);
  return pairs.every(([x, y]) => x <= y) && pairs.some(([x, y]) => x < y);
}
