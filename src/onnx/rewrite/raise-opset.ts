/**
 * Raises a model to a newer default operator set. Operators whose inputs or attributes moved on the way are rewritten;
 * source: the ONNX operator changelog, versions 13 to 25.
 */
import { fail } from '../../diagnostics.js';
import { int } from '../ir/attribute.js';
import { intsAttribute, type Node, nodesOf, placeOf } from '../ir/graph.js';
import { int64s } from '../ir/tensor.js';
import type { Rewriter } from './rewriter.js';

/** Reductions whose axes became an input with version 18 (ReduceSum had done so with 13). */
const REDUCTIONS: ReadonlySet<string> = new Set([
  'ReduceL1',
  'ReduceL2',
  'ReduceLogSum',
  'ReduceLogSumExp',
  'ReduceMax',
  'ReduceMean',
  'ReduceMin',
  'ReduceProd',
  'ReduceSumSquare',
]);

/** Versions below this one changed too much to follow. */
const LOWEST = 13;

/** Raises the default operator set to `version`, and the IR to the version it came with at least. */
export function raiseOpset(rw: Rewriter, version: number, irVersion: number): void {
  const from = rw.model.opsets.get('') ?? 1;
  if (from < LOWEST)
    fail(
      'unsupported-target',
      'opset',
      `The model is at operator set ${from}; from ${LOWEST} on it can be raised to ${version}`,
    );
  if (from < 18 && version >= 18) for (const node of [...nodesOf(rw.model.graph)]) reachEighteen(rw, node);
  rw.raiseOpset(version, irVersion);
}

function reachEighteen(rw: Rewriter, node: Node): void {
  if (node.domain !== '') return;
  if (REDUCTIONS.has(node.op)) moveAxes(rw, node);
  if (node.op === 'Split' && node.inputs[1] === undefined)
    rw.setAttribute(node, 'num_outputs', int(node.outputs.length));
  if (node.op === 'Resize' || node.op === 'Pad' || node.op === 'BatchNormalization') refuseOld(node);
}

function moveAxes(rw: Rewriter, node: Node): void {
  const axes = intsAttribute(node, 'axes');
  if (axes === undefined) return;
  rw.setAttribute(node, 'axes', undefined);
  rw.replaceInput(node, 1, rw.initializer(rw.model.graph, `${placeOf(node)}/axes`, int64s(axes)));
}

/** Pad kept its meaning; the others are not found in language models and are not followed. */
function refuseOld(node: Node): void {
  if (node.op === 'Pad') return;
  fail('unsupported-target', placeOf(node), `${node.op} changed between operator sets and cannot be raised`);
}
