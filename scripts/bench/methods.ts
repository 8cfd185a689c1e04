/** What the benchmarks compare: methods of the literature and of this tool, as recipes. */
import { PRESETS, type RecipeInput } from '../../src/index.js';

/** Precisions of the table, the finest first. */
export const BITS = [8, 6, 4, 3, 2] as const;
export type Bits = (typeof BITS)[number];

/** A row of the table: a recipe that gives all its precisions at once, or one recipe per precision. */
export interface Method {
  readonly recipe: RecipeInput;
  readonly bits: readonly Bits[];
  readonly single?: boolean;
  /** Slices that are no prefix are cut from the set. */
  readonly cut?: 'paper' | 'extra';
}

/** A preset of the papers; int6 and int3 are cut from the same codes. */
const paper = (name: string, cut: 'paper' | 'extra' = 'paper'): Method => ({
  recipe: PRESETS[name] ?? {},
  bits: BITS,
  cut,
});

const LEVEL = { 8: 1, 4: 1, 2: 1 };

const stepped = (method: Method, train: NonNullable<RecipeInput['train']>): Method => ({
  ...method,
  recipe: { ...method.recipe, train },
});
/** Ranges from the grid, and no step after it. */
const searched = (method: Method): Method => stepped(method, { start: 'grid', steps: 0 });

/** Methods by name. */
export const METHODS: Readonly<Record<string, Method>> = {
  rtn: { recipe: PRESETS['baseline-rtn'] ?? {}, bits: BITS, single: true },
  gptq: { recipe: PRESETS['baseline-gptq'] ?? {}, bits: BITS, single: true },
  single: { recipe: { method: 'best' }, bits: [4, 2], single: true },
  'sliced-minmax': { recipe: PRESETS['baseline-sliced-minmax'] ?? {}, bits: BITS, cut: 'paper' },
  matgptq: { recipe: PRESETS['baseline-matgptq'] ?? {}, bits: [8, 4, 2], cut: 'paper' },
  omniquant: { recipe: PRESETS['paper-omniquant-4'] ?? {}, bits: [8, 4, 2], single: true },
  'omniquant + shifts': stepped(
    { recipe: PRESETS['paper-omniquant-4'] ?? {}, bits: [8, 4, 2], single: true },
    { learn: ['clip', 'scale', 'shift'], explicit: true },
  ),
  'matquant .1 + shifts': stepped(paper('paper-matquant-gemma'), { learn: ['clip', 'shift'], explicit: true }),
  'omniquant sliced': {
    ...paper(''),
    recipe: { ...PRESETS['paper-matquant-gemma'], lambda: { 8: 1, 4: 0, 2: 0 } },
  },
  'matquant .1': paper('paper-matquant-gemma'),
  'matquant .4': paper('paper-matquant-mistral'),
  'matquant 1': { ...paper('paper-matquant-gemma'), recipe: { ...PRESETS['paper-matquant-gemma'], lambda: LEVEL } },
  codistill: paper('paper-codistill'),
  'single precision': stepped(paper('paper-single-precision'), {}),
  'extra precision': stepped(paper('paper-extra-precision', 'extra'), {}),
  'grid omniquant': searched({ recipe: PRESETS['paper-omniquant-4'] ?? {}, bits: BITS, single: true }),
  'grid .1': searched(paper('paper-matquant-gemma')),
  'grid .4': searched(paper('paper-matquant-mistral')),
  'grid 1': searched({ ...paper(''), recipe: { ...PRESETS['paper-matquant-gemma'], lambda: LEVEL } }),
  'grid single precision': paper('paper-single-precision'),
  'grid extra precision': paper('paper-extra-precision', 'extra'),
  'grid + steps .1': stepped(paper('paper-matquant-gemma'), { start: 'grid' }),
  'grid + steps single precision': stepped(paper('paper-single-precision'), { start: 'grid' }),
  'grid + steps extra precision': stepped(paper('paper-extra-precision', 'extra'), { start: 'grid' }),
  'gram omniquant': stepped(
    { recipe: PRESETS['paper-omniquant-4'] ?? {}, bits: [8, 4, 2], single: true },
    { objective: 'gram' },
  ),
  'gram .1': stepped(paper('paper-matquant-gemma'), { objective: 'gram' }),
  'gram single precision': stepped(paper('paper-single-precision'), { objective: 'gram' }),
  'gram extra precision': stepped(paper('paper-extra-precision', 'extra'), { objective: 'gram' }),
  'grid + gram single precision': stepped(paper('paper-single-precision'), { start: 'grid', objective: 'gram' }),
  'grid + gram extra precision': stepped(paper('paper-extra-precision', 'extra'), { start: 'grid', objective: 'gram' }),
  'data-free': { recipe: { method: 'data-free' }, bits: BITS },
  qat: { recipe: PRESETS['paper-qat-4'] ?? {}, bits: [8, 4, 2], single: true },
  'qat sliced': {
    recipe: { ...PRESETS['paper-qat-matquant'], lambda: { 8: 1, 4: 0, 2: 0 } },
    bits: BITS,
    cut: 'paper',
  },
  'qat matquant': paper('paper-qat-matquant'),
  'qat codistill': paper('paper-qat-codistill'),
  fast: { recipe: PRESETS['fast'] ?? {}, bits: BITS },
  best: { recipe: { method: 'best' }, bits: BITS },
  tuned: { recipe: PRESETS['tuned'] ?? {}, bits: BITS },
  'best fp16 tables': { recipe: { method: 'best', tables: 'fp16' }, bits: BITS },
};
