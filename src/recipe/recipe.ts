/**
 * A recipe says how a model is compiled: one strict schema gives the defaults, the flags' help, the published JSON Schema and the
 * validation of recipe files, and is checked against the type `Recipe`. Presets are ordinary recipes.
 */
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { schemaIssues } from '../schema-issues.js';
import { type Bits, bitsSchema } from './fields.js';
import {
  type BitsByPrecision,
  bitsByPrecisionSchema,
  type FrequentIds,
  frequentIdsSchema,
  requireFloors,
} from './floors.js';
import { METHOD_NAMES, METHODS, type MethodName, methodsThat, worksWithoutText } from './methods.js';
import { PRESETS } from './presets.js';
import { type DistillRecipe, distillSchema, requireDistill } from './recipe-distill.js';
import { type FisherRecipe, fisherSchema, requireFisher } from './recipe-fisher.js';
import { type PrefixRecipe, prefixSchema, requirePrefix } from './recipe-prefix.js';
import { DEFAULT_QAT, type QatRecipe, qatSchema, requireQat } from './recipe-qat.js';
import { DEFAULT_TRAIN, requireTrainable, type TrainInput, type TrainRecipe, trainSchema } from './recipe-train.js';
import { TARGET_NAMES, type TargetName } from './targets.js';

/**
 * Near t^(r-2) with t = 2, with less difference between the ends: the fitted table of int8 pays for int2 almost twice its weight.
 * docs/decisions/solver.md has the figures.
 */
const DEFAULT_LAMBDA: Readonly<Record<string, number>> = { 8: 64, 7: 34, 6: 18, 5: 9, 4: 4.5, 3: 2.2, 2: 1.8 };

const overrideSchema = z.strictObject({
  match: z
    .string()
    .refine(isExpression, { error: 'Not a regular expression' })
    .describe('Regular expression over projection ids such as layers.3.down.'),
  exclude: z.boolean().default(false).describe('Leave matching projections in float.'),
  minBits: bitsSchema.optional().describe('Lowest precision of matching projections in every model of the set.'),
});

const shape = {
  bits: z
    .array(bitsSchema)
    .min(1)
    .refine((bits) => new Set(bits).size === bits.length, { error: 'takes each precision once' })
    .default([8, 6, 4, 3, 2])
    .describe('Precisions of the set, each a bit prefix of the highest.'),
  block: z
    .union([z.literal(16), z.literal(32), z.literal(64), z.literal(128), z.literal(256), z.literal('channel')])
    .default(128)
    .describe('Columns of a weight row that share a scale and an offset.'),
  scope: z.enum(['ffn', 'ffn+attention']).default('ffn').describe('Which projections are quantized.'),
  attentionBits: z
    .union([z.number().int().min(2).max(8), bitsByPrecisionSchema])
    .default(4)
    .describe('Lowest precision of attention projections: one for all models of the set, or one per precision.'),
  embeddingBits: z
    .union([z.literal('keep'), z.literal(16), z.literal(8), z.literal(4), z.literal(2), bitsByPrecisionSchema])
    .default('keep')
    .describe(
      'Bits of the token embedding and the head: keep stores them like other float tensors, one number is for all models, and bits per precision nest them like projections.',
    ),
  embeddingBlock: z
    .union([z.literal(16), z.literal(32), z.literal(64), z.literal(128), z.literal(256)])
    .default(32)
    .describe(
      'Maximum number of columns of an embedding row that share a scale; halved until it divides the hidden size.',
    ),
  frequentIds: frequentIdsSchema
    .optional()
    .describe(
      'Rows of a nested embedding and head with bits of their own: those of the most frequent ids of the text.',
    ),
  floatStorage: z
    .enum(['keep', 'float16'])
    .default('keep')
    .describe('Storage of float tensors; float16 is cast back when the session loads.'),
  method: z
    .enum(METHOD_NAMES)
    .default('best')
    .describe(`How codes and tables are chosen; all but ${methodsThat(worksWithoutText)} need calibration text.`),
  slice: z
    .enum(['prefix', 'paper', 'extra'])
    .default('prefix')
    .describe('How a smaller code is cut from the parent (only prefix makes a nested file).'),
  decode: z
    .enum(['ab', 'mid', 'signed', 'tied'])
    .default('ab')
    .describe("Per-block decode: scale and offset, scale about the mid-point, signed scale, or the parent's own."),
  tables: z
    .enum(['fp16', 'c8'])
    .default('c8')
    .describe('Storage of scales and offsets: float16, or 8 bits with float16 super-scales.'),
  symmetric: z.boolean().default(false).describe('Symmetric parent grid (zero point 128).'),
  range: z
    .enum(['minmax', 'grid'])
    .default('grid')
    .describe("Range of the parent: the block's extremes, or the best clip ratio on a grid."),
  lambda: z
    .union([z.number().positive(), z.record(z.string().regex(/^[2-8]$/), z.number().nonnegative())])
    .default(DEFAULT_LAMBDA)
    .describe('Weight of each precision in the objective: a base t for t^(r-2), or one number per precision.'),
  damping: z
    .number()
    .positive()
    .default(0.01)
    .describe('Damping: diagonal added to the Gram matrix, relative to its mean.'),
  rounds: z.number().int().min(0).default(2).describe('Rounds of refit and coordinate descent.'),
  sweeps: z.number().int().min(0).default(3).describe('Coordinate-descent sweeps per round.'),
  prefix: prefixSchema
    .optional()
    .describe('Quantized prefix: solve for the inputs that earlier quantized projections give.'),
  tokens: z.number().int().positive().default(32768).describe('Number of calibration tokens.'),
  fillText: z
    .boolean()
    .default(true)
    .describe(
      'Blend statistics of little text with those of random token ids, so that little text is not worse than none.',
    ),
  window: z
    .number()
    .int()
    .min(8)
    .default(512)
    .describe('Tokens per calibration window, including the beginning-of-sequence token.'),
  qat: qatSchema.optional().describe('Quantization-aware training of feed-forward weights.'),
  train: trainSchema.optional().describe('Training of feed-forward blocks by gradient.'),
  accuracyLevel: z
    .union([z.literal(0), z.literal(4)])
    .default(4)
    .describe('MatMulNBits accuracy_level: 4 computes with int8 activations, 0 in float.'),
  compute: z
    .enum(['keep', 'float32'])
    .default('keep')
    .describe('Arithmetic of bfloat16 models: unchanged, or float32, which runs on every processor.'),
  target: z
    .enum(TARGET_NAMES)
    .default('cpu')
    .describe('Target runtime; forms that it cannot run are refused with the reason.'),
  initializerInputs: z
    .enum(['keep', 'constant'])
    .default('keep')
    .describe('Weights that are also graph inputs: keep them as inputs, or make them constants.'),
  dequantizeSource: z
    .boolean()
    .default(false)
    .describe('Take quantized weights of the source (QDQ, MatMulNBits) as float ones. Their own loss stays.'),
  shareTiedHead: z.boolean().default(false).describe('Store a head that repeats the embedding only once.'),
  notes: z
    .enum(['keep', 'drop'])
    .default('keep')
    .describe('Debugging metadata of exporters, such as stack traces and class names.'),
  overrides: z.array(overrideSchema).default([]).describe('Exceptions by projection id; the last match wins.'),
  capture: z
    .enum(['keep', 'float64'])
    .default('keep')
    .describe(
      'Arithmetic of activation statistics: that of the model, or float64, with which a set that is not trained is the same on every processor.',
    ),
  distill: distillSchema
    .optional()
    .describe('Distillation: train tables end to end so that the output follows the float model.'),
  fisher: fisherSchema
    .optional()
    .describe('Statistics weighted by Fisher information: a token counts as much as the loss depends on it.'),
};

function isExpression(text: string): boolean {
  try {
    return new RegExp(text) !== undefined;
  } catch {
    return false;
  }
}

/** An exception for projections whose id matches. */
export interface Override {
  readonly match: string;
  readonly exclude: boolean;
  readonly minBits?: Bits | undefined;
}

/** A complete recipe; docs/recipes.md describes every field. */
export interface Recipe {
  readonly bits: readonly Bits[];
  readonly block: 16 | 32 | 64 | 128 | 256 | 'channel';
  readonly scope: 'ffn' | 'ffn+attention';
  readonly attentionBits: number | BitsByPrecision;
  readonly embeddingBits: 'keep' | 16 | 8 | 4 | 2 | BitsByPrecision;
  readonly embeddingBlock: 16 | 32 | 64 | 128 | 256;
  readonly frequentIds?: FrequentIds | undefined;
  readonly floatStorage: 'keep' | 'float16';
  readonly method: MethodName;
  readonly slice: 'prefix' | 'paper' | 'extra';
  readonly decode: 'ab' | 'mid' | 'signed' | 'tied';
  readonly tables: 'fp16' | 'c8';
  readonly symmetric: boolean;
  readonly range: 'minmax' | 'grid';
  readonly lambda: number | Readonly<Record<string, number>>;
  readonly damping: number;
  readonly rounds: number;
  readonly sweeps: number;
  readonly prefix?: PrefixRecipe | undefined;
  readonly tokens: number;
  readonly fillText: boolean;
  readonly window: number;
  readonly qat?: QatRecipe | undefined;
  readonly train?: TrainRecipe | undefined;
  readonly accuracyLevel: 0 | 4;
  readonly compute: 'keep' | 'float32';
  readonly target: TargetName;
  readonly initializerInputs: 'keep' | 'constant';
  readonly dequantizeSource: boolean;
  readonly shareTiedHead: boolean;
  readonly notes: 'keep' | 'drop';
  readonly overrides: readonly Override[];
  readonly capture: 'keep' | 'float64';
  readonly distill?: DistillRecipe | undefined;
  readonly fisher?: FisherRecipe | undefined;
}

export type { Bits } from './fields.js';

/** A recipe as users write it: fields that are left out have their defaults. */
export type RecipeInput = Partial<
  Omit<Recipe, 'overrides' | 'distill' | 'fisher' | 'frequentIds' | 'train' | 'qat' | 'prefix'>
> & {
  /** Name of the preset to start from. */
  readonly preset?: string;
  readonly prefix?: Partial<PrefixRecipe>;
  readonly qat?: Partial<QatRecipe>;
  readonly train?: TrainInput;
  readonly overrides?: readonly (Partial<Override> & { readonly match: string })[];
  readonly distill?: Partial<DistillRecipe>;
  readonly fisher?: Partial<FisherRecipe>;
  readonly frequentIds?: Partial<FrequentIds> & Pick<FrequentIds, 'bits'>;
};

const schema: z.ZodType<Recipe> = z.strictObject(shape);

/**
 * Fills in defaults and checks a recipe. `at` names its origin in messages. If the recipe names a `preset`, its other fields
 * replace those of the preset. Fails with `recipe`.
 */
export function parseRecipe(input: unknown, at = 'recipe'): Recipe {
  const written = startedFrom(input, at);
  const result = schema.safeParse(written);
  if (!result.success) fail('recipe', at, `The recipe is not valid: ${schemaIssues(result.error, written)}`);
  const recipe = withDefaults(result.data);
  requireFloors(recipe, at);
  if (recipe.train !== undefined) requireTrainable(recipe, recipe.train, at);
  if (recipe.qat !== undefined) requireQat(recipe, recipe.qat, at);
  if (recipe.prefix !== undefined) requirePrefix(recipe, recipe.prefix, at);
  if (recipe.distill !== undefined) requireDistill(recipe, recipe.distill, at);
  if (recipe.fisher !== undefined) requireFisher(recipe, at);
  // Tied tables belong to the parent alone, so a nested file holds them whatever slice the codes were chosen for.
  if (recipe.slice === 'prefix' || recipe.bits.length === 1 || recipe.decode === 'tied') {
    return { ...recipe, bits: [...new Set(recipe.bits)].sort((a, b) => b - a) };
  }
  return fail(
    'recipe',
    at,
    `Slices of kind ${recipe.slice} are not bit prefixes, so they cannot share a nested file: compile with the slice prefix, and cut standalone models of the slice ${recipe.slice} from the set`,
  );
}

/** Methods that train do so by default values where the recipe says nothing of it. */
function withDefaults(recipe: Recipe): Recipe {
  const { trains } = METHODS[recipe.method];
  if (trains === undefined || recipe[trains] !== undefined) return recipe;
  return { ...recipe, [trains]: { train: DEFAULT_TRAIN, qat: DEFAULT_QAT }[trains] };
}

/** Reads a recipe file (JSON); a `preset` key names the preset it starts from. */
export function readRecipe(path: string): RecipeInput {
  let parsed: unknown;
  try {
    parsed = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    return fail('recipe', path, `The recipe cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof parsed !== 'object' || parsed === null) return fail('recipe', path, 'The recipe is not a JSON object');
  return startedFrom(parsed, path) as RecipeInput;
}

/** The fields of the preset that a recipe names, and its own. */
function startedFrom(input: unknown, at: string): unknown {
  if (typeof input !== 'object' || input === null || !('preset' in input)) return input;
  const { preset, ...rest } = input;
  if (preset === undefined) return rest;
  if (typeof preset !== 'string') fail('recipe', at, `The recipe is not valid: preset takes the name of a preset`);
  return { ...presetOf(preset, at), ...rest };
}

/** The preset with this name. */
export function presetOf(name: string, at = 'preset'): RecipeInput {
  return (
    (Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined) ??
    fail('recipe', at, `There is no preset ${name}; the presets are ${Object.keys(PRESETS).join(', ')}`)
  );
}

/**
 * The weight of each precision in the objective; base t means t^(r-2). `chain` are the bits of a projection, which may have some
 * that no model has as a whole.
 */
export function lambdaOf(recipe: Recipe, chain: readonly Bits[] = []): Readonly<Record<number, number>> {
  const { lambda, bits } = recipe;
  const weightOf = (each: Bits): number => {
    if (typeof lambda === 'number') return lambda ** (each - 2);
    return lambda[each] ?? (bits.includes(each) ? 0 : (DEFAULT_LAMBDA[each] ?? 0));
  };
  return Object.fromEntries([...bits, ...chain].map((each) => [each, weightOf(each)]));
}

/** The sentence of a field, which is the help of its flag too. */
export const describeRecipe = (field: keyof Recipe): string => (shape[field].description ?? '').replace(/\.$/, '');

/** Whether the weights of precisions are those of a recipe that says nothing of them. */
export const isDefaultLambda = ({ lambda }: Recipe): boolean =>
  typeof lambda !== 'number' &&
  Object.keys(lambda).length === Object.keys(DEFAULT_LAMBDA).length &&
  Object.entries(DEFAULT_LAMBDA).every(([bits, weight]) => lambda[bits] === weight);

/** JSON Schema of recipe files. */
export function recipeJsonSchema(): unknown {
  return z.toJSONSchema(z.strictObject({ preset: z.enum(Object.keys(PRESETS)).optional(), ...shape }), { io: 'input' });
}
