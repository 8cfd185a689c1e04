/** README.md of a package: what it is, what it costs, how to run it, how it was made. */
import { basename } from 'node:path';
import type { CompileResult } from '../compile/index.js';
import { significant } from '../format.js';
import type { Format } from '../options/index.js';
import { type OldestRuntimes, oldestRuntimes, RUNTIMES, type RuntimeName } from '../recipe/index.js';
import type { OpenSet } from '../set/index.js';
import type { PackageSource } from './package-source.js';
import type { PackagedModel } from './transformers-js.js';

/** What a card says. */
export interface CardFacts {
  readonly source: PackageSource;
  readonly set: OpenSet;
  readonly compiled: CompileResult;
  /** The models by format. */
  readonly models: Readonly<Partial<Record<Format, readonly PackagedModel[]>>>;
  /** Products compute in float16. */
  readonly half: boolean;
}

/** The text of the card. */
export function cardOf(facts: CardFacts): string {
  const title = facts.source.baseModel ?? basename(facts.set.manifest.source.name).replace(/\.onnx$/i, '');
  const parts = [
    headOf(facts),
    `# ${title}, quantized`,
    models(facts),
    usage(facts),
    needs(facts),
    made(facts),
    licence(facts),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

/** The licence by the source's card; Gemma's where the model derives from Google's. */
export function licenceOf({ licence, baseModel }: PackageSource): string | undefined {
  return licence ?? (/^google\/.*gemma/i.test(baseModel ?? '') ? 'gemma' : undefined);
}

function headOf({ source, models }: CardFacts): string {
  const { baseModel } = source;
  const stated = licenceOf(source);
  const web = models['transformers.js'] !== undefined;
  const lines = [
    '---',
    ...(baseModel === undefined ? [] : [`base_model: ${yaml(baseModel)}`, 'base_model_relation: quantized']),
    ...(stated === undefined ? [] : [`license: ${yaml(stated)}`]),
    `library_name: ${web ? 'transformers.js' : 'onnx'}`,
    `pipeline_tag: ${source.parts.some(({ part }) => part.startsWith('vision')) ? 'image-text-to-text' : 'text-generation'}`,
    'tags:',
    ...['onnx', 'quantized', 'matryoshka', ...(models.genai === undefined ? [] : ['onnxruntime-genai'])].map(
      (tag) => `  - ${tag}`,
    ),
    '---',
  ];
  return lines.join('\n');
}

/** A YAML string: quoted, since licences and names may hold any character. */
const yaml = (text: string): string => (/^[\w./-]+$/.test(text) ? text : JSON.stringify(text));

function models({ compiled, models: byFormat }: CardFacts): string {
  const rows = Object.entries(byFormat).flatMap(([format, list]) =>
    (list ?? []).map(({ bits, name, path, bytes, float16 }) => {
      const found = compiled.precisions.find((each) => each.bits === bits);
      const probe = float16 === undefined ? found?.probe : undefined;
      const scores = probe === undefined ? ['–', '–'] : [significant(probe.kl), `${significant(100 * probe.top1)} %`];
      const stored = found === undefined ? '–' : significant(found.storedBitsPerWeight);
      return [format, `\`${name}\``, `\`${path}\``, `${(bytes / 1e6).toFixed(1)} MB`, stored, ...scores];
    }),
  );
  const scored = compiled.precisions.find(({ probe }) => probe !== undefined)?.probe;
  const table = tableOf(['for', 'name', 'file', 'size', 'bits per weight', 'KL', 'top-1'], rows);
  const note =
    scored === undefined
      ? 'The models were not compared with the float model.'
      : `KL to the float model (nats per position) and agreement of the likeliest token, over ${scored.positions} positions of ${scored.scored}. A short check, no benchmark.`;
  return ['## Models', table, note, ...halfNotes(byFormat['transformers.js'] ?? [])].join('\n\n');
}

/** What models in float16 are for, and what float16 costs. */
function halfNotes(web: readonly PackagedModel[]): readonly string[] {
  const half = web.flatMap(({ name, float16 }) => (float16 === undefined ? [] : [{ name, kl: float16.kl }]));
  if (half.length === 0) return [];
  const costs = half.map(({ name, kl }) => `\`${name}\` ${significant(kl)}`).join(', ');
  return [
    `Models in float16 are for GPUs with shader-f16 (\`device: 'webgpu'\`): activations and caches take half the memory. KL to their float32 forms, rounded on a processor as a GPU rounds: ${costs}.`,
  ];
}

const PLACE = 'PATH_OR_NAME';

function usage({ source, models: { 'transformers.js': web, genai, onnxruntime } }: CardFacts): string {
  const parts = [
    web?.[0] &&
      `JavaScript, with [transformers.js](https://github.com/huggingface/transformers.js) 4.1 or newer:\n\n${fence(
        'js',
        source.parts.length > 0 ? inParts(web) : inOne(web),
      )}`,
    genai?.[0] &&
      `Python, with onnxruntime-genai:\n\n${fence(
        'python',
        `import onnxruntime_genai as og

model = og.Model('${PLACE}/${preferred(genai).path}')
tokenizer = og.Tokenizer(model)
params = og.GeneratorParams(model)
params.set_search_options(max_length=64)
generator = og.Generator(model, params)
generator.append_tokens(tokenizer.encode('Once upon a time'))
while not generator.is_done():
    generator.generate_next_token()
print(tokenizer.decode(generator.get_sequence(0)))`,
      )}`,
    (onnxruntime?.[0] ?? web?.[0]) &&
      `Python, with ONNX Runtime:\n\n${fence(
        'python',
        `import onnxruntime as ort

session = ort.InferenceSession('${PLACE}/${preferred(onnxruntime ?? web ?? []).path}')
print([each.name for each in session.get_inputs()])`,
      )}`,
  ];
  return ['## Use', ...parts.filter((part) => typeof part === 'string')].join('\n\n');
}

const inOne = (web: readonly PackagedModel[]): string => `import { pipeline } from '@huggingface/transformers';

const generate = await pipeline('text-generation', '${PLACE}', { dtype: '${preferred(web).name}' });
console.log(await generate('Once upon a time', { max_new_tokens: 64 }));`;

/** config.json says which form of each part is loaded. */
const inParts = (
  web: readonly PackagedModel[],
): string => `import { AutoModelForImageTextToText, AutoTokenizer } from '@huggingface/transformers';

// The decoder is \`${preferred(web).name}\`; config.json says so.
const tokenizer = await AutoTokenizer.from_pretrained('${PLACE}');
const model = await AutoModelForImageTextToText.from_pretrained('${PLACE}');
const ids = await model.generate({ ...tokenizer('Once upon a time'), max_new_tokens: 64 });
console.log(tokenizer.batch_decode(ids, { skip_special_tokens: true }));`;

const preferred = (list: readonly PackagedModel[]): PackagedModel =>
  list.find(({ bits, float16 }) => bits === 4 && float16 === undefined) ?? (list[0] as PackagedModel);

const fence = (language: string, code: string): string => `\`\`\`${language}\n${code}\n\`\`\``;

/** The oldest versions of the runtimes that the package is for. */
function needs({ compiled: { recipe }, models: byFormat, half }: CardFacts): string {
  const lists: readonly (readonly [Format, readonly RuntimeName[], boolean])[] = [
    ['transformers.js', ['onnxruntime', 'wasm', 'webgpu'], false],
    ['genai', ['genai'], false],
    ['onnxruntime', ['onnxruntime'], true],
  ];
  const rows = lists.flatMap(([format, runtimes, nested]) => {
    return (byFormat[format] ?? []).flatMap(({ bits, name, float16 }) => {
      const oldest = oldestRuntimes(recipe, { half: half || float16 !== undefined, nested });
      return runtimes.map((runtime) => [
        format,
        `\`${name}\``,
        RUNTIMES[runtime],
        versionOf(oldest[`int${bits}`], runtime),
      ]);
    });
  });
  return `## Runtimes\n\n${tableOf(['for', 'name', 'runtime', 'oldest version'], rows)}`;
}

const versionOf = (oldest: OldestRuntimes | undefined, runtime: RuntimeName): string => oldest?.[runtime] ?? 'none';

function made({ set: { manifest }, compiled: { recipe, calibrationTokens } }: CardFacts): string {
  const files = (manifest.source.files ?? []).map(({ name, bytes, sha256 }) => [
    `\`${name}\``,
    String(bytes),
    `\`${sha256}\``,
  ]);
  return [
    '## How it was made',
    `By ${manifest.tool}, method \`${recipe.method}\`, with ${calibrationTokens} calibration tokens. Every file of this folder is listed with its SHA-256 in \`matquant-package.json\`. The source:`,
    tableOf(['file', 'bytes', 'SHA-256'], files),
    ...(manifest.provenance['source'] === undefined
      ? []
      : ['The source was quantized already. Figures compare with it, and do not hold what it lost itself.']),
    `<details><summary>Recipe</summary>\n\n${fence('json', JSON.stringify(recipe, null, 2))}\n\n</details>`,
  ].join('\n\n');
}

export const GEMMA_TERMS =
  'Gemma is provided under and subject to the Gemma Terms of Use found at https://ai.google.dev/gemma/terms. Uses that the Gemma Prohibited Use Policy (https://ai.google.dev/gemma/prohibited_use_policy) names are not allowed. These files were changed: the weights are quantized.';

function licence({ source }: CardFacts): string {
  const stated = licenceOf(source);
  const files = source.legal.map((path) => `\`${basename(path)}\``);
  const lines = [
    stated === 'gemma'
      ? GEMMA_TERMS
      : `${stated === undefined ? 'The source states no licence' : `Licence of the source: ${stated}`}. The weights were changed: they are quantized.`,
    ...(files.length === 0 ? [] : [`From the source: ${files.join(', ')}.`]),
  ];
  return `## Licence\n\n${lines.join(' ')}`;
}

function tableOf(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(columns), line(columns.map(() => '---')), ...rows.map(line)].join('\n');
}
