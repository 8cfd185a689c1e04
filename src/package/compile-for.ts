/** From a float export to a folder that others load as it is. */
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { type CompileInput, type CompileResult, compile } from '../compile/index.js';
import { fail } from '../diagnostics.js';
import { isFile } from '../files/file-state.js';
import { isPackaged, type ListedFile, listOf, PACKAGE_LIST } from '../files/package-list.js';
import { digestOfWhole } from '../files/range-digests.js';
import { stagedFolder } from '../files/staging.js';
import { type Context, silentContext } from '../log.js';
import { importModel } from '../onnx/convert/import.js';
import { nodesOf } from '../onnx/ir/graph.js';
import { checkOptions, type Format } from '../options/index.js';
import { guardOutputs } from '../outputs/index.js';
import { parseRecipe, type Recipe } from '../recipe/index.js';
import { type OpenSet, openSetOf } from '../set/index.js';
import { defaultOutput, type ModelFolder, openInput } from '../source/index.js';
import { type TextOptions, textFiles } from '../text/index.js';
import { TOOL } from '../version.js';
import { type CardFacts, cardOf, GEMMA_TERMS, licenceOf } from './card.js';
import { CHUNK_BYTES } from './chunks.js';
import { writeGenai } from './genai.js';
import { filesOf, type PackageSource, packageSourceOf } from './package-source.js';
import {
  dtypeOf,
  graphOf,
  type PackagedModel,
  stemOf,
  type WebSource,
  writeTransformersJs,
} from './transformers-js.js';
import { partPaths } from './web-parts.js';

/** What `compileFor` takes: everything of `compile`, and what the folder is for. */
export type CompileForInput = CompileInput & {
  readonly for: readonly Format[];
  /** Most bytes of a data file for transformers.js. */
  readonly chunkBytes?: number;
  /** Also write the models of 4 and 2 bits in float16 for transformers.js: dtypes q4f16 and q2f16. */
  readonly float16?: boolean;
};

/** What `compileFor` gives: everything of `compile`, with the files of the package. */
export interface CompileForResult extends CompileResult {
  /** The models by format. */
  readonly models: Readonly<Partial<Record<Format, readonly PackagedModel[]>>>;
}

/** Options of `compile` with the folder that is written. */
type PlacedInput = CompileInput & { readonly output: string };

/** Precisions that have a container of their own; the others would be as large as the next one. */
const WHOLE: ReadonlySet<number> = new Set([8, 4, 2]);

/**
 * Compiles `input.model` and writes a folder for each format of `input.for`, all of them in `input.output`: `onnx/` and config.json
 * for transformers.js, `genai/intN/` for onnxruntime-genai, `onnxruntime/` with the nested set, and one model card. Nothing is
 * written unless all of it succeeds. Fails like `compile`, with `file-missing` without config.json or tokenizer where a format needs
 * them, and with `unsupported-target` for a form that the format's runtime does not run.
 */
export const compileFor = (input: CompileForInput, context: Context = silentContext()): Promise<CompileForResult> =>
  packageWith(compile, input, context);

/** How the nested set of a package is made. */
export type CompileSet = (input: CompileInput, context: Context) => Promise<CompileResult>;

/** As `compileFor`, with a set that `compileSet` makes. */
export async function packageWith(
  compileSet: CompileSet,
  input: CompileForInput,
  context: Context,
): Promise<CompileForResult> {
  const options = checkOptions<CompileForInput>('compileFor', input);
  const { for: formats, chunkBytes = CHUNK_BYTES, file, float16 = false, ...asked } = options;
  if (float16 && !formats.includes('transformers.js'))
    fail('bad-usage', 'float16', 'Models in float16 are for transformers.js: add it to `for`');
  const folder = await openInput(asked.model, { file, hub: asked.hub }, context);
  const output = asked.output ?? defaultOutput(asked.model);
  const rest: PlacedInput = { ...asked, model: folder.graph, output };
  const recipe = recipeFor(formats, rest.recipe);
  const { source, bits } = requirePackable(formats, folder, { text: rest.text, recipe });
  guardPackage(rest, source, formats, bits);
  if (licenceOf(source) === undefined)
    context.log.warn(
      'No licence is stated beside the model: put `license:` into the head of a README.md there before you publish.',
    );
  const old = listOf(output).filter(({ path }) => isPackaged(join(output, path)));
  const write = (staged: string): Promise<CompileForResult> =>
    writePackage(
      staged,
      { ...rest, ...(recipe !== undefined && { recipe }) },
      {
        formats,
        source,
        chunkBytes,
        compileSet,
        float16: float16 ? { ...measuredText(rest.text, source) } : undefined,
      },
      context,
    );
  const result = await stagedFolder(output, write, ['README.md', PACKAGE_LIST]);
  const kept = new Set(listOf(output).map(({ path }) => path));
  for (const { path } of old) if (!kept.has(path)) rmSync(join(output, path), { force: true });
  return result;
}

const tokenizerOf = (text: CompileInput['text']): string | undefined =>
  text !== undefined && 'tokenizer' in text && typeof text.tokenizer === 'string' ? text.tokenizer : undefined;

/**
 * What a package of a model is made from. Fails with `file-missing` and `unsupported-target` where there is none for a format, before any
 * work.
 */
export function requirePackable(
  formats: readonly Format[],
  folder: ModelFolder,
  { text, recipe }: { readonly text?: CompileInput['text']; readonly recipe: Recipe | undefined },
): { readonly source: PackageSource; readonly bits: readonly number[] } {
  const source = packageSourceOf(folder, tokenizerOf(text));
  requireFiles(source, formats);
  const bits = recipe === undefined ? [8, 4, 2] : recipe.bits.filter((each) => WHOLE.has(each));
  if (bits.length === 0 && formats.some((format) => format !== 'onnxruntime')) {
    fail(
      'unsupported-target',
      'recipe.bits',
      'transformers.js and onnxruntime-genai get models of 8, 4 and 2 bits, and the recipe has none',
    );
  }
  return { source, bits };
}

/** A recipe for a processor becomes one for what the folder is for. */
export function recipeFor(formats: readonly Format[], input: CompileInput['recipe']): Recipe | undefined {
  if (input === undefined) return undefined;
  const recipe = parseRecipe(input);
  if (recipe.target !== 'cpu') return recipe;
  if (formats.includes('transformers.js')) return { ...recipe, target: 'browser' };
  return formats.every((format) => format === 'genai') ? { ...recipe, target: 'genai' } : recipe;
}

function requireFiles({ config, genai, companions, graph }: PackageSource, formats: readonly Format[]): void {
  const need = (format: Format, what: string, isThere: boolean): void => {
    if (formats.includes(format) && !isThere)
      fail('file-missing', graph, `There is no ${what} beside the model, without which ${format} does not load it`);
  };
  const hasTokenizer = companions.some((path) => /^tokenizer\.(json|model)$/.test(basename(path)));
  need('transformers.js', 'config.json', config !== undefined);
  need('genai', 'genai_config.json or config.json', genai !== undefined || config !== undefined);
  need('transformers.js', 'tokenizer.json', hasTokenizer);
  need('genai', 'tokenizer.json', hasTokenizer);
}

/** Fails with `output-exists` before any work where a file of the package would replace one of others, or an input. */
function guardPackage(
  { model, output, overwrite, text, statistics = [] }: PlacedInput,
  source: PackageSource,
  formats: readonly Format[],
  bits: readonly number[],
): void {
  const copied = [...source.companions, ...source.legal].map((path) => basename(path));
  const web = bits.flatMap((each) => [false, true].flatMap((half) => dtypeOf(each, half) ?? []));
  const graphs = web.map((dtype) => graphOf(dtype, stemOf(source.parts)));
  const names = [
    'README.md',
    PACKAGE_LIST,
    ...copied,
    ...(formats.includes('transformers.js')
      ? ['config.json', ...graphs.flatMap((graph) => [graph, `${graph}_data`]), ...partPaths(source.parts)]
      : []),
    ...(formats.includes('genai')
      ? bits.flatMap((each) =>
          ['model.onnx', 'model.onnx_data', 'genai_config.json'].map((name) => `genai/int${each}/${name}`),
        )
      : []),
  ];
  const files = [...new Set(names)].map((name) => ({ path: join(output, name), kind: 'packaged' as const }));
  const read = [...filesOf(source), ...textFiles(text as Parameters<typeof textFiles>[0])];
  guardOutputs({ models: [model], inputs: read, inputFolders: statistics, files, folders: [output], overwrite });
}

type Package = Pick<WebSource, 'chunkBytes' | 'float16'> & {
  readonly formats: readonly Format[];
  readonly source: PackageSource;
  readonly compileSet: CompileSet;
};

/** Text of files with its tokenizer, for ranges of activations; other text is not at hand any more. */
function measuredText(text: CompileInput['text'], { companions }: PackageSource): { readonly text?: TextOptions } {
  if (text === undefined) return {};
  if ('ids' in text) return { text: { ids: text.ids } };
  const tokenizer = text.tokenizer ?? companions.find((path) => basename(path) === 'tokenizer.json');
  if (tokenizer === undefined || !text.files.every(isFile)) return {};
  return { text: { jsonlField: 'text', bos: 'auto', ...text, tokenizer } };
}

async function writePackage(
  folder: string,
  input: PlacedInput,
  { formats, source, chunkBytes, float16, compileSet }: Package,
  context: Context,
): Promise<CompileForResult> {
  const inside = join(folder, 'onnxruntime');
  const compiled = await compileSet({ ...input, output: inside, standalone: false }, context);
  const set = openSetOf(inside);
  const half = computesHalf(set);
  const bits = set.manifest.layout.bits.filter((each) => WHOLE.has(each)).toSorted((a, b) => b - a);
  mkdirSync(join(folder, 'onnx'), { recursive: true });
  const { config = {}, parts } = source;
  const web = { set: set.path, bits, half, float16, config, parts, chunkBytes };
  const models: { [F in Format]?: readonly PackagedModel[] } = {};
  if (formats.includes('transformers.js')) models['transformers.js'] = await writeTransformersJs(folder, web, context);
  else rmSync(join(folder, 'onnx'), { recursive: true });
  if (formats.includes('genai')) models.genai = await writeGenai(folder, set.path, bits, source, context);
  if (formats.includes('onnxruntime')) models.onnxruntime = nestedModels(set, compiled);
  const facts: CardFacts = { source, set, compiled, models, half };
  for (const path of [...source.companions, ...source.legal]) copyFileSync(path, join(folder, basename(path)));
  writeFileSync(join(folder, 'README.md'), cardOf(facts));
  if (licenceOf(source) === 'gemma' && source.legal.length === 0)
    writeFileSync(join(folder, 'NOTICE'), `${GEMMA_TERMS}\n`);
  if (!formats.includes('onnxruntime')) rmSync(inside, { recursive: true });
  const files = writeList(folder, formats);
  const { output } = input;
  return { ...compiled, models, files: files.map(({ path, bytes }) => ({ path: join(output, path), bytes })) };
}

const nestedModels = ({ manifest }: OpenSet, { precisions }: CompileResult): readonly PackagedModel[] =>
  manifest.graphs.map(({ file, name, bits }) => {
    const { bytes = 0 } = precisions.find((each) => each.bits === bits) ?? {};
    return { bits: Number(bits), name, path: `onnxruntime/${file}`, bytes };
  });

/** True where a product of the set computes in float16: its scales have that type. */
function computesHalf({ folder, manifest }: OpenSet): boolean {
  const [first] = manifest.graphs;
  if (first === undefined) return false;
  const products = [...nodesOf(importModel(join(folder, first.file)).graph)].filter(({ op }) => op === 'MatMulNBits');
  return products.some(({ inputs }) => inputs[0]?.type?.dtype === 'float16');
}

function writeList(folder: string, formats: readonly Format[]): readonly ListedFile[] {
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((path): ListedFile => {
      const name = relative(folder, path).split(sep).join('/');
      return { path: name, bytes: statSync(path).size, sha256: digestOfWhole(path) };
    })
    .toSorted((a, b) => (a.path < b.path ? -1 : 1));
  const list = { format: 'matquant-package', version: 1, tool: TOOL, for: formats, files };
  const path = join(folder, PACKAGE_LIST);
  writeFileSync(path, `${JSON.stringify(list, null, 1)}\n`);
  return [...files, { path: PACKAGE_LIST, bytes: statSync(path).size, sha256: digestOfWhole(path) }];
}
