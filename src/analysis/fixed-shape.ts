/** Dimensions that an export fixes: some runtimes for accelerators take no others. */
import type { Model, ValueType } from '../onnx/ir/graph.js';

export interface FixedShape {
  /** Texts at a time; undefined when any number will do. */
  readonly batch: number | undefined;
  /** Tokens of a text. */
  readonly length: number | undefined;
}

/** What the ids say, or the vectors where there are no ids: `input_ids`, else the first input with a dimension of tokens. */
export function fixedShapeOf({ graph }: Model): FixedShape {
  const fed = graph.inputs.filter(({ initializer }) => initializer === undefined);
  const named = ['input_ids', 'inputs_embeds'].map((name) => fed.find((value) => value.name === name));
  const ids = named.find((value) => value !== undefined) ?? fed.find(({ type }) => isMatrixOfIds(type));
  const [batch, length] = ids?.type?.shape ?? [];
  const fixed = (dim: number | string | undefined | null): number | undefined =>
    typeof dim === 'number' && dim > 0 ? dim : undefined;
  return { batch: fixed(batch), length: fixed(length) };
}

const isMatrixOfIds = (type: ValueType | undefined): boolean =>
  type?.shape?.length === 2 && (type.dtype === 'int64' || type.dtype === 'int32');
