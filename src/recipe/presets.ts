/** Presets: recipes that ship with the tool, by name. */
import type { Bits, RecipeInput } from './recipe.js';

/** What models to be shipped have in common: nothing stays larger than it must. */
const DEPLOYED: RecipeInput = {
  method: 'best',
  scope: 'ffn+attention',
  floatStorage: 'float16',
  shareTiedHead: true,
  notes: 'drop',
  compute: 'float32',
};

/** The form of the papers: one grid decodes every slice, and ranges are all that learns. */
const PAPER: RecipeInput = { method: 'matquant', bits: [8, 4, 2], slice: 'paper', decode: 'tied', tables: 'fp16' };
const paperAlone = (bits: Bits): RecipeInput => ({ method: 'omniquant', bits: [bits], decode: 'tied', tables: 'fp16' });
/** Learned scales are worth 4 % of the divergence at int2 and nothing at int4; at int8 they cost. */
const withScale: RecipeInput = { train: { learn: ['clip', 'scale'] } };

/** Ranges by search under the Gram matrix: where int2 counts most, steps on the output of a block end 15 to 25 % above it. */
const SEARCHED: RecipeInput = { train: { start: 'grid', steps: 0 } };

/** Weights trained end to end through the same grid and slices. */
const PAPER_QAT: RecipeInput = { ...PAPER, method: 'qat', lambda: { 8: 0.1, 4: 0.1, 2: 1 } };
const qatAlone = (bits: Bits): RecipeInput => ({ ...paperAlone(bits), method: 'qat' });

/** int4 only carries attention, and is there to grow into; the blocks are solved for int2. */
const DEPLOYED_INT2: RecipeInput = {
  ...DEPLOYED,
  bits: [4, 2],
  block: 64,
  embeddingBits: 4,
  lambda: { 4: 0.1, 2: 1 },
};

/**
 * One set whose prefixes are the models, embedding and head included. Rare ids have one bit less than the text needs, frequent ones
 * one more; docs/decisions/one-file.md has the figures.
 */
const DEPLOYED_SET: RecipeInput = {
  ...DEPLOYED,
  bits: [8, 4, 3, 2],
  block: 64,
  embeddingBits: { 2: 3, 8: 7 },
  embeddingBlock: 128,
  frequentIds: { share: 0.0625, bits: { 2: 4, 3: 4, 4: 5 } },
  lambda: { 8: 64, 7: 40, 5: 16, 4: 8, 3: 4, 2: 6 },
};

/** Recipes by name. A recipe file with `preset` starts from one of them. */
export const PRESETS: Readonly<Record<string, RecipeInput>> = {
  'data-free': { method: 'data-free' },
  fast: { method: 'best', rounds: 0, sweeps: 0, range: 'minmax' },
  best: { method: 'best' },
  'best+': { method: 'best', distill: {} },
  'best++': { method: 'best', distill: { learn: ['tables', 'codes'], steps: 600, patience: 10 } },
  tuned: { method: 'best', train: { learn: ['tables'] } },
  'best-int2': { method: 'best', lambda: 1.5 },
  'baseline-rtn': { method: 'rtn', decode: 'tied', bits: [4] },
  'baseline-gptq': { method: 'gptq', bits: [4] },
  'baseline-sliced-minmax': { method: 'sliced-minmax', slice: 'paper', decode: 'tied' },
  'baseline-matgptq': {
    method: 'matgptq',
    slice: 'paper',
    decode: 'tied',
    range: 'minmax',
    bits: [8, 4, 2],
    lambda: 1,
  },
  'paper-omniquant-8': paperAlone(8),
  'paper-omniquant-4': { ...paperAlone(4), ...withScale },
  'paper-omniquant-2': { ...paperAlone(2), ...withScale },
  'paper-matquant-gemma': { ...PAPER, lambda: { 8: 0.1, 4: 0.1, 2: 1 } },
  'paper-matquant-mistral': { ...PAPER, lambda: { 8: 0.4, 4: 0.4, 2: 1 } },
  'paper-single-precision': { ...PAPER, ...SEARCHED, lambda: { 8: 0, 4: 0, 2: 1 } },
  'paper-extra-precision': { ...PAPER, ...SEARCHED, slice: 'extra', lambda: { 8: 1, 4: 1, 2: 1 } },
  'paper-codistill': { ...PAPER, lambda: { 8: 0.1, 4: 0.1, 2: 1 }, train: { codistill: [{ from: 8, to: 2 }] } },
  'paper-qat-8': qatAlone(8),
  'paper-qat-4': qatAlone(4),
  'paper-qat-2': qatAlone(2),
  'paper-qat-matquant': PAPER_QAT,
  'paper-qat-codistill': {
    ...PAPER_QAT,
    qat: {
      codistill: [
        { from: 8, to: 4 },
        { from: 8, to: 2 },
      ],
    },
  },
  // Small blocks also scale the int8 activations: Gemma 3 270M loses .0017 nats at block 32, .0089 at 128.
  'deploy-int8': { ...DEPLOYED, bits: [8], block: 32, embeddingBits: 8, embeddingBlock: 128 },
  'deploy-int4': { ...DEPLOYED, bits: [4], block: 32, embeddingBits: 4 },
  'deploy-int2': DEPLOYED_INT2,
  'deploy-int2+': { ...DEPLOYED_INT2, distill: { bits: [2] } },
  deploy: DEPLOYED_SET,
  'deploy+': { ...DEPLOYED_SET, distill: { bits: [2, 3] } },
};
