/** Bits per quantized weight that a graph keeps on disk, read from the graph alone, whoever wrote it. */
import { SHARED } from '../emit/emitter.js';
import { PROJECTION_KEY } from '../emit/sites.js';
import { importModel } from '../onnx/convert/import.js';
import { type Graph, intAttribute, type Node, nodesOf, type Value } from '../onnx/ir/graph.js';
import { isTokenTableId } from '../source/index.js';

/**
 * Bytes of every constant behind the weight inputs of MatMulNBits (planes and tables included, however they are joined), and
 * behind the block-sum terms that carry a projection's name, over the weights K x N; 0 when nothing is quantized. What projections
 * of a set's graph share is not counted: the look-up tables that planes are joined by, shapes, factors.
 */
export function storedBitsOfGraph(path: string): number {
  const model = importModel(path);
  const counted = new Map<object, number>();
  const weights = new Map<Value, number>();
  for (const node of nodesOf(model.graph)) {
    const [, codes] = node.inputs;
    if (isTokenTableId(node.metadata.get(PROJECTION_KEY) ?? '')) continue;
    const isProjection = node.op === 'MatMulNBits' && codes !== undefined && !isHead(node, model.graph);
    if (isProjection) weights.set(codes, intAttribute(node, 'K', 0) * intAttribute(node, 'N', 0));
    for (const value of isProjection ? node.inputs.slice(1) : blockSumInputs(node)) addConstants(value, counted);
  }
  const bytes = [...counted.values()].reduce((sum, each) => sum + each, 0);
  const count = [...weights.values()].reduce((sum, each) => sum + each, 0);
  return count === 0 ? 0 : (8 * bytes) / count;
}

/** What a block-sum term reads; nothing for other nodes. */
function blockSumInputs(node: Node): Node['inputs'] {
  return node.op !== 'MatMulNBits' && node.metadata.has(PROJECTION_KEY) ? node.inputs : [];
}

/** A head that shares its codes with the embedding is not a projection of a block. */
function isHead(node: Node, graph: Graph): boolean {
  return node.outputs.some((value) => value !== undefined && graph.outputs.includes(value));
}

/** Adds the constants a value is made from, when it is made from constants alone. */
function addConstants(value: Value | undefined, counted: Map<object, number>): void {
  if (value === undefined || !isConstant(value)) return;
  if (value.initializer !== undefined && !value.name.startsWith(SHARED))
    counted.set(value.initializer.storage, value.initializer.byteLength);
  for (const input of value.producer?.inputs ?? []) addConstants(input, counted);
}

function isConstant(value: Value): boolean {
  if (value.initializer !== undefined) return true;
  if (value.isInput || value.producer === undefined) return false;
  return value.producer.inputs.every((input) => input === undefined || isConstant(input));
}
