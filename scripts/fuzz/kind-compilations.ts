/** Mutated models that are compiled; where that succeeds, int8 must compute what the mutated source does. */
import { join } from 'node:path';
import { baseModels, type Files } from './bases.js';
import { compareLogits } from './compare-logits.js';
import type { Kind } from './kinds.js';
import { pick } from './mutate-bytes.js';
import { mutateModel } from './mutate-model.js';
import { mutateWeights } from './mutate-weights.js';

/** Most models are the generated one, which compiles in a tenth of the time of the others. */
const BASES = ['tiny', 'tiny', 'tiny', 'tiny', 'tiny', 'tiny', 'tiny', 'mistral-656k'] as const;

export const compilations: Kind = async (library, scratch) => {
  const { compile, inspect, parseRecipe, silentContext } = library;
  const bases = baseModels(scratch);
  // Products in float: what is left is the rounding of the weights, which the comparison can compute for itself.
  const recipe = parseRecipe({ method: 'data-free', bits: [8, 4, 2], block: 32, accuracyLevel: 0 }, 'fuzz');
  return {
    bases,
    mutate: (random) => {
      const base = pick(BASES, random);
      const files = bases[base] as Files;
      if (random.uniform() < 0.7) return { base, ...mutateWeights(files, random) };
      const { note, bytes } = mutateModel(files['model.onnx'] as Uint8Array, random);
      return { base, note, files: { 'model.onnx': bytes } };
    },
    run: async (folder, output) => {
      const model = join(folder, 'model.onnx');
      const set = join(output, 'set');
      const options = { threads: 1, memoryBytes: 2 ** 31, seed: 0, standalone: false, strict: false };
      await compile({ model, output: set, recipe, ...options }, silentContext());
      const { projections } = await inspect({ model, recipe }, silentContext());
      const nodes = projections.filter(({ status }) => status === 'quantizable').map(({ node }) => node);
      return compareLogits(model, join(set, 'model_int8.onnx'), nodes, recipe.block as number);
    },
  };
};
