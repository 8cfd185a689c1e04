/**
 * A float16 graph as a GPU computes it, for a processor. ONNX Runtime has next to no float16 operators there: it computes their
 * neighbours in float32 and leaves out the casts between them, so that neither rounding nor overflow shows.
 */
import { constantNodes } from '../analysis/constant-nodes.js';
import { elementTypeOf } from '../analysis/element-types.js';
import { importModel } from '../onnx/convert/import.js';
import type { Value } from '../onnx/ir/graph.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { type Reference, temporaryModel } from './reference.js';

/** Writes a copy of a model whose float16 values are rounded one by one. Sums inside an operator stay as the kernel takes them. */
export function roundedCopy(path: string): Reference {
  const model = importModel(path);
  roundHalves(new Rewriter(model));
  return temporaryModel(model, 'rounded');
}

/**
 * Puts every float16 value of the main graph behind two Reshapes to its own shape. Reshape has a float16 kernel; one alone between
 * operators without would be computed in float32 too.
 */
export function roundHalves(rw: Rewriter): void {
  const { graph } = rw.model;
  const constants = constantNodes(rw.model);
  const halves = graph.nodes.flatMap((node) =>
    constants.has(node) ? [] : node.outputs.filter((value) => isHalf(value)),
  );
  for (const value of halves as readonly Value[]) {
    const readers = [...value.uses];
    const shape = rw.insert(graph, { op: 'Shape', inputs: [value], name: `${value.name}/shape` });
    const first = rw.insert(graph, { op: 'Reshape', inputs: [value, shape], name: `${value.name}/rounded` });
    const held = rw.insert(graph, { op: 'Reshape', inputs: [first, shape], name: `${value.name}/rounded` });
    for (const { node, slot } of readers) rw.replaceInput(node, slot, held);
  }
  rw.sort(graph);
}

const isHalf = (value: Value | undefined): boolean =>
  value !== undefined && value.uses.size > 0 && elementTypeOf(value) === 'float16';
