/** The inverse of a learned scale, multiplied into constants of the norm in front of a block. */
import { constantOf } from '../analysis/constants.js';
import type { Use, Value } from '../onnx/ir/graph.js';
import { float32s, type Tensor } from '../onnx/ir/tensor.js';
import type { Rewriter } from '../onnx/rewrite/rewriter.js';

/** The inverse 1/s [k] of the scale of a block, and the inputs of norms that take it. */
export interface Fold {
  /** `layers.3`. */
  readonly id: string;
  readonly places: readonly Use[];
  readonly inverse: Float32Array;
}

/** Multiplies the factors in the places of a fold by its inverse. */
export function foldScale(rw: Rewriter, { id, places, inverse }: Fold): void {
  for (const { node, slot } of places) {
    const factor = node.inputs[slot] as Value;
    const tensor = constantOf(factor);
    const constant = (value: Tensor, name: string): Value => rw.initializer(node.graph, name, value);
    const scaled =
      tensor === undefined
        ? rw.insert(node, {
            op: 'Mul',
            inputs: [factor, constant(float32s(inverse, [inverse.length]), `${id}/inverse`)],
            name: `${id}/scaled`,
          })
        : constant(product(tensor, inverse), `${factor.name}/scaled`);
    rw.replaceInput(node, slot, scaled);
    rw.dropIfUnused(factor);
  }
}

function product(tensor: Tensor, inverse: Float32Array): Tensor {
  const bytes = tensor.bytes().slice();
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, inverse.length);
  return float32s(
    values.map((value, at) => value * (inverse[at] as number)),
    tensor.shape,
  );
}
