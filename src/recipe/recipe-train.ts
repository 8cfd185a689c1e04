/** The part of a recipe that says how blocks are trained by gradient. */
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { METHODS, type Method } from './methods.js';
import { codistillSchema, type TeachingPair, wrongPair } from './recipe-codistill.js';

const rate = (start: number, what: string): z.ZodDefault<z.ZodNumber> =>
  z.number().nonnegative().default(start).describe(`Rate of ${what}.`);

const shape = {
  learn: z
    .array(z.enum(['clip', 'scale', 'shift', 'rounding', 'tables']))
    .min(1)
    .default(['clip'])
    .describe(
      'What learns: ranges (gamma, beta), the equivalent transform (s and its shift), codes, or scales and offsets.',
    ),
  objective: z
    .enum(['block', 'gram'])
    .default('block')
    .describe("What counts: the output of a block over the text, or of each projection by its inputs' Gram matrix."),
  explicit: z
    .boolean()
    .default(false)
    .describe('Let shifts, and scales that no norm in front can take, stand in the graph as nodes of their own.'),
  steps: z.number().int().min(0).default(150).describe('Steps per block; 0 keeps the ranges of the grid.'),
  batch: z.number().int().positive().default(512).describe('Tokens in a step over the text.'),
  schedule: z.enum(['constant', 'cosine']).default('cosine').describe('How the rates change over the steps.'),
  warmUp: z.number().int().min(0).default(0).describe('Steps over which the rates rise from 0.'),
  rates: z
    .strictObject({
      clip: rate(0.05, 'gamma and beta'),
      scale: rate(0.01, 'the logarithm of s'),
      shift: rate(0.01, 'shifts'),
      rounding: rate(0.005, 'codes, in parts of a step of the smallest precision'),
      tables: rate(0.002, 'scales and offsets, relative to the scale'),
    })
    .prefault({})
    .describe('AdamW rates by what learns.'),
  start: z
    .union([z.number(), z.literal('grid')])
    .default(4)
    .describe('Start of what gamma and beta are the sigmoid of, or the best ratios on a grid under the Gram matrix.'),
  prefix: z
    .enum(['float', 'quantized'])
    .default('float')
    .describe('What feeds a block: the float layers before it, or the quantized ones at the smallest precision.'),
  codistill: codistillSchema,
};

/** How blocks are trained; every field is described by the schema above. */
export interface TrainRecipe {
  readonly learn: readonly ('clip' | 'scale' | 'shift' | 'rounding' | 'tables')[];
  readonly objective: 'block' | 'gram';
  readonly explicit: boolean;
  readonly steps: number;
  readonly batch: number;
  readonly schedule: 'constant' | 'cosine';
  readonly warmUp: number;
  readonly rates: {
    readonly clip: number;
    readonly scale: number;
    readonly shift: number;
    readonly rounding: number;
    readonly tables: number;
  };
  readonly start: number | 'grid';
  readonly prefix: 'float' | 'quantized';
  readonly codistill: readonly TeachingPair[];
}

/** As users write it. */
export type TrainInput = Partial<Omit<TrainRecipe, 'rates'>> & { readonly rates?: Partial<TrainRecipe['rates']> };

export const trainSchema: z.ZodType<TrainRecipe> = z.strictObject(shape);

/** What the methods that train do when the recipe says nothing more. */
export const DEFAULT_TRAIN: TrainRecipe = trainSchema.parse({});

/** What of a recipe decides whether it can be trained. */
export interface TrainedRecipe {
  readonly method: Method;
  readonly bits: readonly number[];
  readonly decode: string;
  readonly distill?: unknown;
}

/** Fails when a method cannot be trained in the way that is asked for. */
export function requireTrainable(recipe: TrainedRecipe, train: TrainRecipe, at: string): void {
  const trains = METHODS[recipe.method].trains === 'train';
  const wrong = [...wrongStart(train), ...(trains ? wrongTraining(recipe, train) : wrongTuning(recipe, train))];
  const found = wrong.find(([isWrong]) => isWrong)?.[1] ?? wrongPair(train.codistill, recipe.bits);
  if (found !== undefined) fail('recipe', at, found);
}

/** What may not be, and the sentence that says so. */
type Rules = readonly (readonly [isWrong: boolean, sentence: string])[];

const learnsOther = ({ learn }: TrainRecipe, than: string): boolean => learn.some((kind) => kind !== than);

const wrongStart = (train: TrainRecipe): Rules => [
  [
    train.steps === 0 && (train.start !== 'grid' || learnsOther(train, 'clip')),
    'Without steps nothing is learned: train.steps can be 0 where train.start is "grid" and "clip" alone learns',
  ],
];

const wrongTraining = ({ method, bits, decode, distill }: TrainedRecipe, train: TrainRecipe): Rules => [
  ...wrongShift(train, distill !== undefined),
  ...wrongGram(train),
  [train.learn.includes('tables') && decode === 'tied', TIED],
  [
    train.learn.includes('scale') && distill !== undefined,
    'Tables are distilled against the original weights, so train.learn cannot have "scale" as well',
  ],
  [
    bits.length > (METHODS[method].mostBits ?? bits.length),
    `The method ${method} trains one precision; matquant trains several`,
  ],
];

const wrongShift = ({ learn, explicit, prefix }: TrainRecipe, distills: boolean): Rules => {
  const shifts = learn.includes('shift');
  return [
    [shifts && !explicit, 'Shifts cannot be folded into a model: ask for their nodes with train.explicit'],
    [shifts && distills, 'Tables are distilled against the original graph, so train.learn cannot have "shift" as well'],
    [
      shifts && prefix === 'quantized',
      'Behind quantized layers there are weights alone: train.learn cannot have "shift"',
    ],
    [
      explicit && !shifts && !learn.includes('scale'),
      'Only "shift" and "scale" in train.learn have nodes to be explicit',
    ],
  ];
};

const wrongGram = ({ objective, learn, prefix }: TrainRecipe): Rules => {
  const isGram = objective === 'gram';
  const transforms = learn.includes('scale') || learn.includes('shift');
  return [
    [
      isGram && transforms,
      'A transform spans a block: train.learn has "scale" and "shift" for the objective "block" alone',
    ],
    [
      isGram && prefix === 'quantized',
      'Gram matrices are those of float layers: a quantized prefix needs the objective "block"',
    ],
  ];
};

/** For codes that are solved. */
const wrongTuning = ({ method, decode }: TrainedRecipe, train: TrainRecipe): Rules => [
  [
    learnsOther(train, 'tables'),
    `Codes of the method ${method} are not trained by gradient: train.learn can be "tables" alone`,
  ],
  [decode === 'tied', TIED],
  [train.objective === 'gram', 'Tables of solved codes are the best under the Gram matrix already'],
  [train.explicit, 'Solved codes have no transform to be explicit'],
  [train.start === 'grid', `The method ${method} has its own grid: see range`],
  [train.codistill.length > 0, 'Tables of solved codes are trained precision by precision'],
];

const TIED = 'Tied tables belong to the parent alone: there is nothing to learn for one precision';
