/** Base against head: two sets, folders or models, or two saved results, and what got larger, worse or slower. */
import { writeFileSync } from 'node:fs';
import { fail } from '../../diagnostics.js';
import { isFile } from '../../files/file-state.js';
import { startsAsManifest } from '../../files/listed-files.js';
import { staged } from '../../files/staging.js';
import { type Context, silentContext } from '../../log.js';
import { requireSound } from '../../onnx/convert/check-model.js';
import { fileSizesOf } from '../../onnx/convert/file-sizes.js';
import { checkOptions, type Input } from '../../options/index.js';
import { guardOutputs } from '../../outputs/index.js';
import { storedBitsOfGraph } from '../../set/index.js';
import { type TextInput, type TextOptions, textFiles } from '../../text/index.js';
import { modelsOf, type NamedModel } from '../budget/index.js';
import { evaluateUntil } from '../evaluate-files.js';
import {
  type Change,
  type ChangeVerdict,
  type Cost,
  costChanges,
  costOf,
  isSameText,
  modelVerdict,
  qualityChanges,
  type Scored,
} from './figures.js';
import { type LayerChange, layerChanges } from './layers.js';
import { compareMarkdown } from './markdown.js';
import { readScored } from './saved.js';

/** The options of `compare` with all defaults filled in; `CompareInput` is what a caller passes. */
export interface CompareOptions {
  /** A set (.json or folder), a folder of models, a model, or a saved result of `eval --json`. */
  readonly base: string;
  /** The same kind of thing, with the change. */
  readonly head: string;
  /** The float model; needed for quality of models. */
  readonly model?: string;
  readonly text?: TextOptions;
  readonly window: number;
  readonly windows?: number;
  /** Measure tokens per second too. */
  readonly speed: boolean;
  readonly threads: number;
  readonly memoryBytes: number;
  /** A Markdown file to write. */
  readonly markdown?: string;
  readonly overwrite?: boolean;
}

/** What `compare` takes. */
export type CompareInput = Input<Omit<CompareOptions, 'text'>, 'window' | 'speed' | 'threads' | 'memoryBytes'> & {
  readonly text?: TextInput | undefined;
};

/** A model that is in both. */
export interface ModelComparison {
  readonly name: string;
  /** By KL; absent where nothing was scored. */
  readonly verdict?: ChangeVerdict;
  readonly changes: readonly Change[];
}

/** What changed from base to head. */
export interface CompareResult {
  readonly base: string;
  readonly head: string;
  /** Worse where a model is worse, better where one is better and none worse; absent where nothing was scored. */
  readonly verdict?: ChangeVerdict;
  readonly models: readonly ModelComparison[];
  /** Names of models that the other side does not have. */
  readonly onlyBase: readonly string[];
  readonly onlyHead: readonly string[];
  /** Mean errors of projections by layer, where both sets have them beside them. */
  readonly layers?: readonly LayerChange[];
  /** Windows of head, and whether they are those of base. */
  readonly windows?: number;
  readonly paired?: boolean;
}

/** Compares; writes nothing but the Markdown file that is asked for. */
export async function compare(input: CompareInput, context: Context = silentContext()): Promise<CompareResult> {
  const options = checkOptions<CompareOptions>('compare', input);
  const { base, head, markdown } = options;
  guardMarkdown(options);
  const isSaved = [base, head].map(isSavedResult);
  if (isSaved[0] !== isSaved[1])
    fail('bad-usage', isSaved[0] ? head : base, 'A saved result can be compared with another saved result only');
  const result = isSaved[0]
    ? compareScored(options, readScored(base), readScored(head))
    : await compareModels(options, context);
  if (markdown !== undefined) staged(markdown, (path) => writeFileSync(path, compareMarkdown(result)));
  return result;
}

/** A .json that is no manifest of a set. */
const isSavedResult = (path: string): boolean => /\.json$/i.test(path) && isFile(path) && !startsAsManifest(path);

async function compareModels(options: CompareOptions, context: Context): Promise<CompareResult> {
  const { base, head, model, text } = options;
  const [before, after] = [modelsOf(base), modelsOf(head)];
  const names = namesOf(
    new Map(before.map((each) => [each.name, each])),
    new Map(after.map((each) => [each.name, each])),
  );
  const inBoth = (models: readonly NamedModel[]): readonly NamedModel[] =>
    names.both.map((name) => models.find((each) => each.name === name) as NamedModel);
  const pairs = [inBoth(before), inBoth(after)] as const;
  for (const { path } of pairs.flat()) requireSound(path);
  const layers = [base, head].every((path) => !/\.onnx$/i.test(path)) ? layersOf(base, head) : {};
  if (model === undefined && text === undefined) {
    const models = names.both.map((name, at): ModelComparison => {
      const [a, b] = pairs.map((side) => filesCost((side[at] as NamedModel).path)) as [Cost, Cost];
      return { name, changes: costChanges(a, b) };
    });
    return { base, head, models, onlyBase: names.onlyBase, onlyHead: names.onlyHead, ...layers };
  }
  const scored = await scorePairs(pairs, options, context);
  return { ...compareScored(options, ...scored), onlyBase: names.onlyBase, onlyHead: names.onlyHead, ...layers };
}

/** Both sides in one run over the text, the float model once. */
async function scorePairs(
  [before, after]: readonly [readonly NamedModel[], readonly NamedModel[]],
  { model, text, window, windows, threads, memoryBytes, speed }: CompareOptions,
  context: Context,
): Promise<[ReadonlyMap<string, Scored>, ReadonlyMap<string, Scored>]> {
  if (model === undefined) return fail('bad-usage', 'model', 'Quality needs the float model to compare with');
  if (text === undefined) return fail('bad-usage', 'text', 'Quality needs text to measure it on');
  const candidates = [...before, ...after].map(({ path }) => path);
  const run = { reference: model, candidates, text, window, threads, memoryBytes, speed };
  const { reference, candidates: scores } = await evaluateUntil(
    { ...run, ...(windows !== undefined && { windows }) },
    context,
  );
  const side = (models: readonly NamedModel[], from: number): ReadonlyMap<string, Scored> =>
    new Map(
      models.flatMap(({ name }, at) => {
        const score = scores[from + at];
        return score === undefined ? [] : [[name, { score, reference }] as const];
      }),
    );
  return [side(before, 0), side(after, before.length)];
}

function compareScored(
  { base, head }: CompareOptions,
  before: ReadonlyMap<string, Scored>,
  after: ReadonlyMap<string, Scored>,
): CompareResult {
  const { both, ...rest } = namesOf(before, after);
  const pairs = both.map((name) => [name, before.get(name) as Scored, after.get(name) as Scored] as const);
  const models = pairs.map(([name, a, b]): ModelComparison => {
    const changes = [...qualityChanges(a, b), ...costChanges(costOf(a), costOf(b))];
    return { name, verdict: modelVerdict(a, b, both.length), changes };
  });
  const [first] = pairs;
  return {
    base,
    head,
    ...(models.length > 0 && { verdict: overall(models) }),
    models,
    ...rest,
    ...(first && {
      windows: first[2].score.windows.length,
      paired: isSameText(first[1].reference, first[2].reference),
    }),
  };
}

function overall(models: readonly ModelComparison[]): ChangeVerdict {
  const has = (wanted: ChangeVerdict): boolean => models.some(({ verdict }) => verdict === wanted);
  return (['worse', 'unclear', 'better'] as const).find(has) ?? 'no difference';
}

interface Names {
  readonly both: readonly string[];
  readonly onlyBase: readonly string[];
  readonly onlyHead: readonly string[];
}

function namesOf(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): Names {
  const [a, b] = [[...before.keys()], [...after.keys()]];
  const [first] = a;
  if (first === undefined || !a.some((name) => after.has(name)))
    return fail('bad-usage', 'head', `No model is in both: ${a.join(', ')} in base, ${b.join(', ')} in head`);
  return {
    both: a.filter((name) => after.has(name)),
    onlyBase: a.filter((name) => !after.has(name)),
    onlyHead: b.filter((name) => !before.has(name)),
  };
}

function layersOf(base: string, head: string): { readonly layers?: readonly LayerChange[] } {
  const layers = layerChanges(base, head);
  return layers === undefined ? {} : { layers };
}

const filesCost = (path: string): Cost => ({
  bytes: fileSizesOf(path).downloadBytes,
  storedBits: storedBitsOfGraph(path),
});

/** The Markdown file is none that is read. */
function guardMarkdown({ base, head, model, text, markdown, overwrite }: CompareOptions): void {
  if (markdown === undefined) return;
  const sides = [base, head].filter((path) => !isSavedResult(path)).flatMap(modelsOf);
  guardOutputs({
    models: [...sides.map(({ path }) => path), ...(model === undefined ? [] : [model])],
    inputs: [base, head, ...textFiles(text)],
    files: [{ path: markdown, kind: 'comparison' }],
    overwrite,
  });
}
