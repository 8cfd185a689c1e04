/** Checks the options of a public function against its schema and fills in defaults. */
import type { z } from 'zod';
import { fail } from '../diagnostics.js';
import { parseRecipe, type Recipe, type RecipeInput, requireText } from '../recipe/index.js';
import { issueSentence, placeOf } from '../schema-issues.js';
import { OPTIONS, type Verb } from './schemas.js';

/** Options as a caller passes them: those that have a default may be left out. */
export type Input<T, D extends keyof T> = Omit<T, D> & { readonly [K in D]?: T[K] | undefined };

/** The same with a recipe, as users write it or complete. */
export type RecipeTaking<T extends { readonly recipe: Recipe }, D extends keyof T> = Input<
  Omit<T, 'recipe'>,
  Exclude<D, 'recipe'>
> & {
  readonly recipe?: Recipe | RecipeInput | undefined;
};

/** The options with their defaults. Fails with `bad-usage` at the option; names of options stand in backticks. */
export function checkOptions<T>(verb: Verb, asked: unknown): T {
  const value = present(asked);
  const result = OPTIONS[verb].safeParse(value);
  if (result.success) return result.data as T;
  const [issue] = result.error.issues as [z.core.$ZodIssue];
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  const at = placeOf([...issue.path, ...unknown]) || 'options';
  return fail('bad-usage', at, sentence(issue, value));
}

function sentence(issue: z.core.$ZodIssue, value: unknown): string {
  const named = (path: readonly PropertyKey[]): string => (path.length === 0 ? 'The options' : `\`${placeOf(path)}\``);
  if (issue.code === 'unrecognized_keys')
    return `There is no option ${issue.keys.map((key) => named([...issue.path, key])).join(', ')}`;
  return issueSentence(issue, value, named);
}

/** What is there: an option that is undefined was not given. */
function present(value: unknown): unknown {
  if (!isPlain(value)) return value;
  const given = Object.entries(value).filter(([, each]) => each !== undefined);
  return Object.fromEntries(given.map(([key, each]) => [key, key === 'recipe' ? each : present(each)]));
}

const isPlain = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

interface Calibrated {
  readonly recipe?: unknown;
  readonly text?: unknown;
  readonly statistics?: unknown;
}

/** The recipe of checked options. Without one it is `best` where there is text or statistics, else `data-free`. */
export function recipeOf({ recipe, text, statistics }: Calibrated): Recipe {
  const isCalibrated = text !== undefined || statistics !== undefined;
  return parseRecipe(recipe ?? { preset: isCalibrated ? 'best' : 'data-free' }, 'recipe');
}

/** As `recipeOf`; fails with `bad-usage` where the recipe needs text and there is none. */
export function calibratedRecipeOf(options: Calibrated): Recipe {
  const recipe = recipeOf(options);
  const hasText = options.text !== undefined;
  requireText(recipe, { hasText, isCalibrated: hasText || options.statistics !== undefined });
  return recipe;
}

/** The default of an option, as it is typed. */
export function defaultOf(verb: Verb, ...path: readonly string[]): string {
  const schema = path.reduce<z.ZodType | undefined>(fieldOf, OPTIONS[verb]);
  const { defaultValue } = partsOf(schema);
  if (defaultValue === undefined) throw new Error(`${path.join('.')} of ${verb} has no default`);
  return String(defaultValue);
}

/** The values that an option, or an element of a list, may have. */
export function choicesOf(verb: Verb, ...path: readonly string[]): readonly string[] {
  const choices = entriesOf(path.reduce<z.ZodType | undefined>(fieldOf, OPTIONS[verb]));
  if (choices === undefined) throw new Error(`${path.join('.')} of ${verb} takes other values too`);
  return choices;
}

function entriesOf(schema: z.ZodType | undefined): readonly string[] | undefined {
  const { entries, innerType, element } = partsOf(schema);
  const inner = innerType ?? element;
  return entries === undefined ? inner && entriesOf(inner) : Object.values(entries);
}

/** The sentence of an option, which is its help too. */
export function describeOption(verb: Verb, ...path: readonly string[]): string {
  const sentence = sentenceOf(path.reduce<z.ZodType | undefined>(fieldOf, OPTIONS[verb]));
  if (sentence === undefined) throw new Error(`${path.join('.')} of ${verb} has no sentence`);
  return sentence;
}

function sentenceOf(schema: z.ZodType | undefined): string | undefined {
  const inner = partsOf(schema).innerType;
  return schema?.description ?? (inner && sentenceOf(inner));
}

/** A field of an object schema, under whatever makes it optional. */
function fieldOf(schema: z.ZodType | undefined, key: string): z.ZodType | undefined {
  const { shape, innerType, in: input } = partsOf(schema);
  const inner = innerType ?? input;
  return shape?.[key] ?? (inner && fieldOf(inner, key));
}

interface Parts {
  readonly shape?: Readonly<Record<string, z.ZodType>>;
  readonly innerType?: z.ZodType;
  readonly in?: z.ZodType;
  readonly defaultValue?: unknown;
  readonly entries?: Readonly<Record<string, string>>;
  readonly element?: z.ZodType;
}

const partsOf = (schema: z.ZodType | undefined): Parts => (schema?._zod.def ?? {}) as Parts;
