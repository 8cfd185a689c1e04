/** A float32 model with everything that is float32 in half precision, as an exporter asked for it writes it. */
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { int } from '../../src/onnx/ir/attribute.js';
import { DTYPES } from '../../src/onnx/ir/dtype.js';
import { intAttribute, type Model, nodesOf } from '../../src/onnx/ir/graph.js';
import { fromFloat32, toFloat32 } from '../../src/onnx/ir/half.js';
import { type Tensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import type { HalfType } from '../../src/onnx/rewrite/widen-arithmetic.js';

export function writeHalf(from: string, to: string, half: HalfType): void {
  const model = importModel(from);
  halve(model, half);
  exportModel(model, to);
}

/** Changes a model in place. */
export function halve(model: Model, half: HalfType): void {
  const rw = new Rewriter(model);
  const { graph } = model;
  const narrow = ({ shape, bytes }: Tensor): Tensor =>
    tensorOf(half, shape, fromFloat32(toFloat32(bytes(), 'float32'), half));
  for (const value of [...graph.initializers])
    if (value.initializer?.dtype === 'float32') rw.setTensor(value, narrow(value.initializer));
  for (const node of nodesOf(graph)) {
    const [name, attribute] = [...node.attributes].find(([, { kind }]) => kind === 'tensor') ?? [];
    if (name !== undefined && attribute?.kind === 'tensor' && attribute.value.dtype === 'float32')
      rw.setAttribute(node, name, { kind: 'tensor', value: narrow(attribute.value) });
    if (node.op === 'Cast' && intAttribute(node, 'to', 0) === DTYPES.float32.onnx)
      rw.setAttribute(node, 'to', int(DTYPES[half].onnx));
  }
  const values = [...graph.inputs, ...[...nodesOf(graph)].flatMap(({ outputs }) => outputs)];
  for (const value of values) if (value?.type?.dtype === 'float32') rw.setType(value, { ...value.type, dtype: half });
}
