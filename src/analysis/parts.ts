/**
 * Parts of a product's output: what Split, Slice or Gather take out of its last dimension, directly or after a Reshape that
 * divides that dimension in two. Weights that hold gate and up side by side are recognized by them.
 */
import { intAttribute, intsAttribute, type Node, type Value } from '../onnx/ir/graph.js';
import { constantOf, numbersOf } from './constants.js';
import { isCarrier, isElementwise } from './operators.js';
import type { Product } from './products.js';
import { rankOf } from './rank.js';

/** Columns start, start + step, … of a product, `count` of them. */
export interface Columns {
  readonly start: number;
  readonly step: number;
  readonly count: number;
}

/** The columns of a product of `n` that output `slot` of `node` holds; undefined where it is no plain selection of them. */
export function columnsOf(node: Node, slot: number, n: number): Columns | undefined {
  const input = node.inputs[0];
  if (input === undefined) return undefined;
  const { tail, rank } = viewOf(input, n);
  const at = (axis: number): number | undefined => (axis < 0 ? -axis : rank === undefined ? undefined : rank - axis);
  const [last = n, before] = tail.toReversed();
  const fromEnd = at(axisOf(node));
  // Without a rank, a division of n columns in equal parts is one of the last axis: tokens are not counted in the graph.
  const isLast = fromEnd === 1 || (fromEnd === undefined && tail.length === 1 && axisOf(node) > 0);
  if (!isLast && (fromEnd !== 2 || before === undefined)) return undefined;
  const found = selectionOf(node, slot, isLast ? last : (before as number));
  if (found === undefined || found.count <= 0) return undefined;
  if (tail.length === 1) return isInside(found, n) ? found : undefined;
  if (found.count !== 1) return undefined;
  return isLast
    ? { start: found.start, step: last, count: before as number }
    : { start: found.start * last, step: 1, count: last };
}

const isInside = ({ start, step, count }: Columns, n: number): boolean =>
  start >= 0 && step > 0 && start + (count - 1) * step < n;

/** How the last dimensions of a value hold n columns: [n], or [a, b] with a · b = n behind a Reshape; and its rank, if known. */
function viewOf(value: Value, n: number): { readonly tail: readonly number[]; readonly rank: number | undefined } {
  let at: Value | undefined = value;
  while (at?.producer !== undefined) {
    const node: Node = at.producer;
    if (node.op === 'Reshape') {
      const target = targetOf(node);
      return { tail: tailOf(target, n), rank: target?.length ?? rankOf(value) };
    }
    if (!isElementwise(node) && !isCarrier(node)) break;
    at = node.inputs.find((input) => input !== undefined && constantOf(input) === undefined);
  }
  return { tail: [n], rank: rankOf(value) };
}

/** The target of a Reshape; -1 for entries that are computed. */
function targetOf(node: Node): readonly number[] | undefined {
  const shape = node.inputs[1];
  const numbers = numbersOf(shape);
  const joined = shape?.producer;
  if (numbers !== undefined || joined?.op !== 'Concat') return numbers;
  return joined.inputs.flatMap((input) => numbersOf(input) ?? [-1]);
}

function tailOf(target: readonly number[] | undefined, n: number): readonly number[] {
  const [last = -1, before = -1] = target?.toReversed() ?? [];
  if (target === undefined || last === n || target.length < 3) return [n];
  if (before > 0 && (last === -1 ? n % before === 0 : before * last === n)) return [before, n / before];
  return last > 0 && before === -1 && n % last === 0 && target.length > 3 ? [n / last, last] : [n];
}

function axisOf(node: Node): number {
  if (node.op !== 'Slice') return intAttribute(node, 'axis', 0);
  const axes = numbersOf(node.inputs[3]) ?? intsAttribute(node, 'axes') ?? [0];
  return axes.length === 1 ? (axes[0] as number) : 0;
}

/** What output `slot` selects along the node's axis, which has `size` entries. */
function selectionOf(node: Node, slot: number, size: number): Columns | undefined {
  if (node.op === 'Split') return splitSelection(node, slot, size);
  if (node.op === 'Slice') return sliceSelection(node, size);
  return node.op === 'Gather' ? gatherSelection(node, size) : undefined;
}

function splitSelection(node: Node, slot: number, size: number): Columns | undefined {
  const count = node.outputs.length;
  const equal = size % count === 0 ? Array<number>(count).fill(size / count) : undefined;
  const isGiven = node.inputs[1] !== undefined;
  const sizes = isGiven ? numbersOf(node.inputs[1]) : (intsAttribute(node, 'split') ?? equal);
  if (sizes === undefined || sizes.reduce((sum, each) => sum + each, 0) !== size) return undefined;
  const start = sizes.slice(0, slot).reduce((sum, each) => sum + each, 0);
  return { start, step: 1, count: sizes[slot] ?? 0 };
}

function sliceSelection(node: Node, size: number): Columns | undefined {
  const [starts, ends] = [1, 2].map((slot) => numbersOf(node.inputs[slot]));
  const from = starts ?? intsAttribute(node, 'starts');
  const to = ends ?? intsAttribute(node, 'ends');
  const step = node.inputs[4] === undefined ? 1 : numbersOf(node.inputs[4])?.[0];
  if (from?.length !== 1 || to?.length !== 1 || step === undefined || step < 1) return undefined;
  const inside = (index: number): number => Math.max(0, Math.min(size, index < 0 ? index + size : index));
  const [start, end] = [inside(from[0] as number), inside(to[0] as number)];
  return { start, step, count: Math.ceil((end - start) / step) };
}

function gatherSelection(node: Node, size: number): Columns | undefined {
  const found = numbersOf(node.inputs[1])?.map((index) => (index < 0 ? index + size : index));
  const [start, second] = found ?? [];
  if (found === undefined || start === undefined) return undefined;
  const step = second === undefined ? 1 : second - start;
  return found.every((index, at) => index === start + at * step) ? { start, step, count: found.length } : undefined;
}

/** True when two parts of one product are all of it, each half of it. */
export function arePair(a: Product, b: Product): boolean {
  if (a.part === undefined || b.part === undefined || a.part.of !== b.part.of) return false;
  const [first, second] = [a.part.columns, b.part.columns].sort((x, y) => x.start - y.start) as [Columns, Columns];
  const half = (a.part.of.n ?? 0) / 2;
  if (first.start !== 0 || first.count !== half || second.count !== half || first.step !== second.step) return false;
  return second.start === (first.step === 1 ? half : 1) && (first.step === 1 || first.step === 2);
}
