/**
 * Initializers that are no longer graph inputs.
 *
 * Matches: a graph input that has an initializer.
 * Becomes: the initializer alone; the model's IR version is at least 4.
 * Why it is sound: up to IR 3 the format asked for every initializer to be listed as an input too, so the entry means nothing;
 * from IR 4 on an entry means that callers may replace the value (onnx/docs/IR.md), so there it is dropped only on request.
 * Refuses when: the model has IR 4 or later and `overridable` is not set: such inputs stay.
 */
import { z } from 'zod';
import { graphsOf } from '../src/onnx/ir/graph.js';
import { definePass, type Pass } from '../src/onnx/rewrite/define-pass.js';

export interface DropInitializerInputsOptions {
  readonly overridable: boolean;
}

const options: z.ZodType<DropInitializerInputsOptions> = z.strictObject({
  overridable: z
    .boolean()
    .default(false)
    .describe('Also drop entries of IR 4 and later, which callers could have fed.'),
});

export const dropInitializerInputs: Pass<DropInitializerInputsOptions> = definePass({
  name: 'drop-initializer-inputs',
  summary: 'Removes graph inputs that have the name of an initializer.',
  options,
  keeps: 'bits',
  run(rw, { overridable }) {
    if (rw.model.irVersion >= FIRST_OPTIONAL && !overridable) return;
    for (const graph of graphsOf(rw.model.graph)) {
      const defaults = graph.inputs.filter(({ initializer }) => initializer !== undefined);
      for (const value of defaults) rw.removeDefault(graph, value);
    }
    rw.raiseOpset(0, FIRST_OPTIONAL);
  },
});

/** From this IR version on an initializer need not be an input. */
const FIRST_OPTIONAL = 4;
