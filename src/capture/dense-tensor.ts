/** Weights computed by us, in the layout and element type in which the model stores them. */
import type { Projection } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import { float32ToBfloat16, float32ToFloat16 } from '../onnx/ir/half.js';
import { type Tensor, tensorOf } from '../onnx/ir/tensor.js';

/** The tensor that stands for `data` [N, K], row-major, in the place of a projection's weight. */
export function denseTensor(projection: Projection, data: Float32Array): Tensor {
  const { k, n, weight } = projection;
  if (data.length !== k * n) throw new RangeError(`${projection.id} has ${k * n} weights, not ${data.length}`);
  const stored = weight.layout === 'NK' ? data : transposed(data, n, k);
  const { dtype, shape } = weight.tensor;
  if (dtype === 'float32') return tensorOf(dtype, shape, stored);
  if (dtype === 'float16') return tensorOf(dtype, shape, float32ToFloat16(stored));
  if (dtype === 'bfloat16') return tensorOf(dtype, shape, float32ToBfloat16(stored));
  if (dtype === 'float64') return tensorOf(dtype, shape, Float64Array.from(stored));
  return fail('unsupported-model', projection.id, `weights of type ${dtype} cannot be exchanged`);
}

/** [rows, columns] to [columns, rows], in tiles that stay in the cache. */
function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  const tile = 32;
  for (let top = 0; top < rows; top += tile) {
    for (let left = 0; left < columns; left += tile) {
      const bottom = Math.min(top + tile, rows);
      const right = Math.min(left + tile, columns);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++)
          out[column * rows + row] = data[row * columns + column] as number;
      }
    }
  }
  return out;
}
