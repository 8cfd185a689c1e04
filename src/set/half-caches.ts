/** Caches of a graph that computes in float16: their inputs and outputs become float16 too, so that no step casts them. */
import { elementTypeOf } from '../analysis/element-types.js';
import { graphRoles } from '../capture/index.js';
import { fail } from '../diagnostics.js';
import { int } from '../onnx/ir/attribute.js';
import { DTYPES } from '../onnx/ir/dtype.js';
import { intAttribute, isOp, type Value } from '../onnx/ir/graph.js';
import type { Rewriter } from '../onnx/rewrite/rewriter.js';

/**
 * Makes the float32 caches of a graph float16. Their outputs must be made by a Cast from float16, as `compute-float16` leaves them;
 * fails with `float16-range` where one is computed in float32.
 */
export function halveCaches(rw: Rewriter): void {
  const { inputs, outputs } = rw.model.graph;
  const fed = inputs.filter(({ initializer }) => initializer === undefined);
  const roles = graphRoles(rw.model);
  for (const input of fed) {
    const understood = roles.get(input.name);
    if (understood?.role !== 'cache' || input.type?.dtype !== 'float32') continue;
    const output = outputs.find(({ name }) => name === understood.output);
    if (output !== undefined) halveOutput(rw, output);
    halveInput(rw, input);
  }
}

function halveInput(rw: Rewriter, input: Value): void {
  const readers = [...input.uses];
  rw.setType(input, { dtype: 'float16', shape: input.type?.shape });
  let wide: Value | undefined;
  for (const { node, slot } of readers) {
    const [made] = node.outputs;
    if (isOp(node, 'Shape')) continue;
    if (isOp(node, 'Cast') && made !== undefined) {
      if (intAttribute(node, 'to', 0) !== DTYPES.float16.onnx) continue;
      rw.replaceUses(made, input);
      rw.erase(node);
      continue;
    }
    const attributes = { to: int(DTYPES.float32.onnx) };
    wide ??= rw.insert(node, { op: 'Cast', inputs: [input], attributes, name: `${input.name}/float32` });
    rw.replaceInput(node, slot, wide);
  }
}

function halveOutput(rw: Rewriter, output: Value): void {
  const { producer, name, type } = output;
  const from = isOp(producer, 'Cast') ? producer.inputs[0] : undefined;
  if (producer === undefined || from === undefined || elementTypeOf(from) !== 'float16' || from.producer === undefined)
    fail('float16-range', name, `The cache ${name} is computed in float32, because its values may leave float16`);
  rw.setType(output, { dtype: 'float16', shape: type?.shape });
  rw.bypass(producer);
}
