/** Weights computed by us, in the layout and element type in which the model stores them. */
import type { Projection } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import { float32ToBfloat16, float32ToFloat16 } from '../onnx/ir/half.js';
import { type Tensor, tensorOf } from '../onnx/ir/tensor.js';
import { transpose } from '../quant/pack.js';

/** The tensor that stands for `data` [N, K], row-major, in the place of a projection's weight. */
export function denseTensor(projection: Projection, data: Float32Array): Tensor {
  const { k, n, weight } = projection;
  if (data.length !== k * n) throw new RangeError(`${projection.id} has ${k * n} weights, not ${data.length}`);
  const stored = weight.layout === 'NK' ? data : transpose(data, n, k);
  const { dtype, shape } = weight.tensor;
  if (dtype === 'float32') return tensorOf(dtype, shape, stored);
  if (dtype === 'float16') return tensorOf(dtype, shape, float32ToFloat16(stored));
  if (dtype === 'bfloat16') return tensorOf(dtype, shape, float32ToBfloat16(stored));
  if (dtype === 'float64') return tensorOf(dtype, shape, Float64Array.from(stored));
  return fail('unsupported-model', projection.id, `weights of type ${dtype} cannot be exchanged`);
}
