/** Sparse initializers (onnx.proto, `SparseTensorProto`), shown as the dense tensors they stand for and written back as they came. */
import { fail } from '../../diagnostics.js';
import { byteLengthOf, DTYPES, elementCount } from '../ir/dtype.js';
import { lazyTensor, type Tensor } from '../ir/tensor.js';
import { SPARSE, type SparseTensorProto } from '../proto/messages.js';
import { mapTensors } from '../proto/tensors.js';
import type { TensorImporter } from './import-tensor.js';
import { sparseOrigins } from './origins.js';

/** Few bytes of a file can name any number of zeros. */
const DENSE_LIMIT = 2 ** 31;

/** The dense tensor of a sparse one; its bytes are made when someone reads them. */
export function importSparse(message: SparseTensorProto, tensors: TensorImporter, at: string): Tensor {
  if (!message.values || !message.indices) fail('invalid-graph', at, 'a sparse tensor has no values or no indices');
  const values = tensors.tensor(message.values, at);
  const indices = tensors.tensor(message.indices, at);
  const shape = (message.dims ?? []).map((dim) => dim.toNumber());
  const isValid = shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0);
  if (!isValid || byteLengthOf(values.dtype, shape) > DENSE_LIMIT) fail('tensor-size', at, `[${shape}] is not a shape`);
  if (DTYPES[values.dtype].bits < 8 || indices.dtype !== 'int64')
    fail('unknown-dtype', at, 'a sparse tensor of this type');
  let dense: Uint8Array | undefined;
  const tensor = lazyTensor(values.dtype, shape, (start, end) => {
    dense ??= scatter(values, indices, shape, at);
    return dense.subarray(start, end);
  });
  sparseOrigins.set(
    tensor,
    mapTensors(message, SPARSE, (part) => tensors.localised(part, at)),
  );
  return tensor;
}

/** Indices are [count] positions in the flat tensor or [count, rank] coordinates. */
function scatter(values: Tensor, indices: Tensor, shape: readonly number[], at: string): Uint8Array {
  const width = DTYPES[values.dtype].bits / 8;
  const dense = new Uint8Array(elementCount(shape) * width);
  const source = values.bytes();
  const numbers = new BigInt64Array(Uint8Array.from(indices.bytes()).buffer);
  const rank = indices.shape.length === 2 ? shape.length : 1;
  const dims = indices.shape.length === 2 ? shape : [elementCount(shape)];
  for (let index = 0; index < elementCount(values.shape); index++) {
    let flat = 0;
    for (let axis = 0; axis < rank; axis++) {
      const coordinate = Number(numbers[index * rank + axis] ?? -1n);
      if (coordinate < 0 || coordinate >= (dims[axis] ?? 0))
        fail('tensor-size', at, 'a sparse tensor has an index out of range');
      flat = flat * (dims[axis] ?? 0) + coordinate;
    }
    dense.set(source.subarray(index * width, (index + 1) * width), flat * width);
  }
  return dense;
}
