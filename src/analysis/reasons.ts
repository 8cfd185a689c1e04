/** What is said of a product with a plain weight that has no place in the model. */
import { type Node, placeOf, type Value } from '../onnx/ir/graph.js';
import type { Flow } from './flow.js';
import { isCarrier, isElementwise } from './operators.js';
import { columnsOf } from './parts.js';
import type { Product } from './products.js';

const NOWHERE = 'the product is neither part of a gated feed-forward block, nor of an attention, nor the head';

/** The reason, with the parts that the output is divided into where it is. */
export function placeReason(product: Product, flow: Flow): string {
  const parts = partsOf(product, flow);
  if (parts.length === 0) return NOWHERE;
  const [first] = parts as [Part];
  const sizes = parts.map(({ columns }) => columns.count).join(' and ');
  return `${NOWHERE}; ${first.node.op} ${placeOf(first.node)} divides its ${product.n} columns into ${sizes}, which are not gate and up`;
}

interface Part {
  readonly node: Node;
  readonly columns: { readonly count: number };
}

/** The selections of columns that read the output, through biases, casts and reshapes. */
function partsOf({ output, n }: Product, flow: Flow): readonly Part[] {
  if (n === undefined) return [];
  const parts: Part[] = [];
  const seen = new Set<Value>([output]);
  for (const value of seen) {
    for (const { node, slot } of value.uses) {
      if (slot === 0) parts.push(...selectionsOf(node, n));
      const passes = !flow.productAt.has(node) && (isCarrier(node) || isElementwise(node));
      const next = passes ? node.outputs[0] : undefined;
      if (next !== undefined) seen.add(next);
    }
  }
  return parts;
}

function selectionsOf(node: Node, n: number): readonly Part[] {
  if (node.op !== 'Split' && node.op !== 'Slice' && node.op !== 'Gather') return [];
  return node.outputs.flatMap((output, slot) => {
    const columns = output === undefined ? undefined : columnsOf(node, slot, n);
    return columns === undefined || columns.count === n ? [] : [{ node, columns }];
  });
}
