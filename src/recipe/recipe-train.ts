/** The part of a recipe that says how blocks are trained by gradient. */
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { METHODS, type MethodName } from './methods.js';
import { codistillSchema, type TeachingPair, wrongPair } from './recipe-codistill.js';

const rate = (start: number, what: string): z.ZodDefault<z.ZodNumber> =>
  z.number().nonnegative().default(start).describe(`Learning rate of ${what}.`);

const shape = {
  learn: z
    .array(z.enum(['clip', 'scale', 'shift', 'rounding', 'tables']))
    .min(1)
    .default(['clip'])
    .describe(
      'What is trained: ranges (clip), the equivalent transform (scale, shift), codes (rounding), or scales and offsets (tables).',
    ),
  objective: z
    .enum(['block', 'gram'])
    .default('block')
    .describe('Training objective: the output of the block on text, or of each projection under its Gram matrix.'),
  explicit: z
    .boolean()
    .default(false)
    .describe('Add graph nodes for shifts, and for scales that no preceding norm can absorb.'),
  steps: z.number().int().min(0).default(150).describe('Number of steps per block; 0 keeps the ranges of the grid.'),
  batch: z.number().int().positive().default(512).describe('Tokens per step.'),
  schedule: z.enum(['constant', 'cosine']).default('cosine').describe('Learning-rate schedule.'),
  warmUp: z.number().int().min(0).default(0).describe('Warm-up steps, in which the rates rise from 0.'),
  rates: z
    .strictObject({
      clip: rate(0.05, 'gamma and beta'),
      scale: rate(0.01, 'the logarithm of s'),
      shift: rate(0.01, 'shifts'),
      rounding: rate(0.005, 'codes, in parts of a step of the smallest precision'),
      tables: rate(0.002, 'scales and offsets, relative to the scale'),
    })
    .prefault({})
    .describe('AdamW learning rates by trained parameter.'),
  start: z
    .union([z.number(), z.literal('grid')])
    .default(4)
    .describe('Initial logit of gamma and beta; grid takes the best ratios under the Gram matrix.'),
  prefix: z
    .enum(['float', 'quantized'])
    .default('float')
    .describe(
      'Inputs of a block: from the float layers before it, or from quantized layers at the smallest precision.',
    ),
  codistill: codistillSchema,
};

/** Settings of training blocks by gradient; docs/recipes.md describes every field. */
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

/** The same with defaults left out. */
export type TrainInput = Partial<Omit<TrainRecipe, 'rates'>> & { readonly rates?: Partial<TrainRecipe['rates']> };

export const trainSchema: z.ZodType<TrainRecipe> = z.strictObject(shape);

/** What the methods that train do when the recipe says nothing more. */
export const DEFAULT_TRAIN: TrainRecipe = trainSchema.parse({});

/** What of a recipe decides whether it can be trained. */
export interface TrainedRecipe {
  readonly method: MethodName;
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
    'train.steps can be 0 only if train.start is "grid" and train.learn is ["clip"]',
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
    [shifts && prefix === 'quantized', 'A quantized prefix supports no shifts: train.learn cannot have "shift"'],
    [explicit && !shifts && !learn.includes('scale'), 'train.explicit needs "shift" or "scale" in train.learn'],
  ];
};

const wrongGram = ({ objective, learn, prefix }: TrainRecipe): Rules => {
  const isGram = objective === 'gram';
  const transforms = learn.includes('scale') || learn.includes('shift');
  return [
    [isGram && transforms, '"scale" and "shift" in train.learn need the objective "block", because they span a block'],
    [
      isGram && prefix === 'quantized',
      'A quantized prefix needs the objective "block", because Gram matrices come from float layers',
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
  [
    train.objective === 'gram',
    'The objective "gram" has no effect on solved codes: their tables are already optimal under the Gram matrix',
  ],
  [train.explicit, 'train.explicit has no effect on solved codes'],
  [train.start === 'grid', `The method ${method} has its own grid: see range`],
  [
    train.codistill.length > 0,
    'Co-distillation is not possible for tables of solved codes, which are trained precision by precision',
  ],
];

const TIED = 'Tied tables are those of the parent, so no precision has tables to train';
