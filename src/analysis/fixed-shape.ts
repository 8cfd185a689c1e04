/** Dimensions that an export fixes: some runtimes for accelerators take no others. */
import type { Model } from '../ir/graph.js';

export interface FixedShape {
  /** Texts at a time; undefined when any number will do. */
  readonly batch: number | undefined;
  /** Tokens of a text. */
  readonly length: number | undefined;
}

/** What the input `input_ids` says. */
export function fixedShapeOf({ graph }: Model): FixedShape {
  const [batch, length] = graph.inputs.find(({ name }) => name === 'input_ids')?.type?.shape ?? [];
  const fixed = (dim: number | string | undefined | null): number | undefined =>
    typeof dim === 'number' && dim > 0 ? dim : undefined;
  return { batch: fixed(batch), length: fixed(length) };
}
