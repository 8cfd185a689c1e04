/** The text of docs/recipes.md, made from the recipe's own schema and presets; `npm run golden` writes it, a test compares it. */
import { PRESETS, recipeJsonSchema } from '../src/index.js';
import { METHOD_NAMES, METHODS, type MethodRow } from '../src/recipe/index.js';

/** What of a JSON Schema the page shows. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly default?: unknown;
  readonly description?: string;
}

const HEAD = `# Recipes

A recipe is a JSON file that says how a model is compiled: \`matquant compile model.onnx -o out --recipe recipe.json\`. Every field may be left out. \`preset\` names the preset that a recipe starts
from, and flags such as \`--block\` win over the file. Fields that do not exist are refused. \`recipeJsonSchema()\` of the library gives the same as JSON Schema.

\`\`\`json
{ "preset": "best+", "block": 32, "distill": { "steps": 200 }, "overrides": [{ "match": "^layers\\\\.0\\\\.", "minBits": 4 }] }
\`\`\`
`;

/** The values a field may have. */
function valuesOf(schema: Schema): string {
  const { type, anyOf, items, minimum, exclusiveMinimum, maximum } = schema;
  if (schema.const !== undefined) return code(schema.const);
  if (schema.enum !== undefined) return schema.enum.map(code).join(', ');
  if (anyOf !== undefined) return anyOf.map(valuesOf).join(', ');
  if (type === 'array') return `list of ${valuesOf(items ?? {})}`;
  if (type === 'object') return schema.properties === undefined ? 'number for each name' : fieldsOf(schema.properties);
  if (type !== 'number' && type !== 'integer') return type ?? '';
  const noun = type === 'integer' ? 'whole number' : 'number';
  if (exclusiveMinimum !== undefined && exclusiveMinimum >= 0) return `${noun} above ${exclusiveMinimum}`;
  if (minimum === undefined || minimum < 0) return noun;
  return maximum === undefined || maximum > 1e9 ? `${noun} from ${minimum}` : `${noun} ${minimum} to ${maximum}`;
}

const code = (value: unknown): string => `\`${typeof value === 'string' ? value : JSON.stringify(value)}\``;

const fieldsOf = (properties: Readonly<Record<string, Schema>>): string =>
  `{ ${Object.keys(properties).map(code).join(', ')} }`;

/** A schema's own section: one row per field. */
function tableOf(properties: Readonly<Record<string, Schema>>): string {
  const rows = Object.entries(properties).map(([name, schema]) => {
    const fallback = schema.default === undefined ? '–' : code(schema.default);
    return `| ${code(name)} | ${valuesOf(schema)} | ${fallback} | ${schema.description ?? ''} |`;
  });
  return ['| field | values | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

const NEEDS: Readonly<Record<MethodRow['needs'], string>> = {
  weights: 'weights alone',
  'random-ids': 'no text: statistics of random token ids, or of text where there is some',
  statistics: 'activation statistics of text',
  activations: 'text, block by block',
  text: 'text, end to end',
};

/** One row per method: what it is, what it needs, and which fields may stand beside it. */
function methodTable(): string {
  const rows = METHOD_NAMES.map((name) => {
    const { help, needs, trains, adapts, mostBits } = METHODS[name];
    const trained =
      trains === undefined ? `${code('train')} (tables alone)` : `${code(trains)} (defaults where absent)`;
    const takes = adapts ? `${trained}, ${code('prefix')}` : trained;
    return `| ${code(name)} | ${help} | ${NEEDS[needs]} | ${takes} | ${mostBits ?? 'any number'} |`;
  });
  const head = ['| method | is | needs | takes | precisions |', '| --- | --- | --- | --- | --- |'];
  return [...head, ...rows].join('\n');
}

export function recipePage(): string {
  const { preset: _, ...fields } = (recipeJsonSchema() as Schema).properties ?? {};
  const sections = Object.entries(fields).flatMap(([name, { properties, description }]) =>
    properties === undefined ? [] : [`## \`${name}\`\n\n${description}\n\n${tableOf(properties)}\n`],
  );
  const overrides = fields['overrides']?.items?.properties ?? {};
  const presets = Object.entries(PRESETS).map(([name, recipe]) => `| ${code(name)} | ${code(recipe)} |`);
  return [
    HEAD,
    `## Fields\n\n${tableOf(fields)}\n`,
    `## \`overrides\`\n\n${tableOf(overrides)}\n`,
    `## Methods\n\n${methodTable()}\n\n\`distill\` and \`train\` for tables need a \`decode\` other than \`tied\`; \`distill\` with \`codes\` in \`learn\` needs a method with statistics.\n`,
    ...sections,
    `## Presets\n\n${['| preset | is |', '| --- | --- |', ...presets].join('\n')}\n`,
  ].join('\n');
}
