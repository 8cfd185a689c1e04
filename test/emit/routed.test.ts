/** Which values have as many rows as the data says. */
import { expect, it } from '@jest/globals';
import { RoutedRows } from '../../src/emit/routed.js';
import { int, ints } from '../../src/onnx/ir/attribute.js';
import { int64s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';

it('are rows that an index chooses, whether it is taken from NonZero by one number or by several', () => {
  const b = new GraphBuilder({ opset: 18 });
  const x = b.input('x', 'float32', ['rows', 8]);
  const found = b.op('NonZero', [b.op('Greater', [x, b.scalar(0)])]);
  const byOne = b.op('Gather', [x, b.op('Gather', [found, b.integer(0)], { axis: int(0) })], { axis: int(0) });
  const split = b.op('Squeeze', [
    b.op('Slice', [found, ...[[0], [1], [0]].map((each) => b.integers(each))]),
    b.integers([0]),
  ]);
  const bySlice = b.op('Gather', [x, split], { axis: int(0) });
  const fixed = b.op('Gather', [x, b.constant(int64s([0, 1]))], { axis: int(0) });
  const turned = b.op('Transpose', [x], { perm: ints([1, 0]) });
  for (const [name, value] of Object.entries({ byOne, bySlice, fixed, turned })) b.output(value, name);
  const routed = new RoutedRows(b.model());
  expect([byOne, bySlice, fixed, turned].map((value) => routed.has(value))).toEqual([true, true, false, false]);
});
