/**
 * Experts that one operator multiplies all at once, as a product for each.
 *
 * Matches: a gated block whose weights are stacks [E, K, N] of constants, multiplied by Einsum (`bsk,ekn->ebsn`, `ebsk,ekn->ebsn`,
 * also with [E, N, K]) or by a batched MatMul, with elementwise operators and divisions of the last axis between.
 * Becomes: MatMul with each matrix, the operators between once for each expert, and a Concat of what they give.
 * Why it is sound: experts share nothing but the input, and every operator between works on one of them at a time.
 * Refuses when: a constant between has more than one dimension, since it may hold a row for each expert; something else reads a
 * value between; the first dimension of what a MatMul reads is not known to be that of the experts.
 */
import { constantOf, numbersOf } from '../src/analysis/constants.js';
import { isCarrier, isElementwise, keyOf } from '../src/analysis/operators.js';
import { rankOf } from '../src/analysis/rank.js';
import { stackOf } from '../src/analysis/weights.js';
import { int, ints } from '../src/onnx/ir/attribute.js';
import { intAttribute, isOp, type Node, nodesOf, placeOf, stringAttribute, type Value } from '../src/onnx/ir/graph.js';
import { int64Scalar, int64s, rowsOf, type Tensor } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

export const splitExperts: Pass<NoOptions> = definePass({
  name: 'split-experts',
  summary: 'Multiplies by the matrices of stacked experts one by one.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    for (const down of [...nodesOf(rw.model.graph)]) {
      const block = blockBehind(down);
      if (block !== undefined) split(rw, down, block);
    }
  },
});

/** A product with a stack of matrices. */
interface StackedProduct {
  readonly x: Value;
  readonly weight: Value;
  readonly tensor: Tensor;
  /** Matrices are [N, K]. */
  readonly transposed: boolean;
  /** X is the same for all experts. */
  readonly shared: boolean;
}

interface ExpertBlock {
  readonly down: StackedProduct;
  /** Gate and up, or both in one, by what they give. */
  readonly sources: ReadonlyMap<Value, StackedProduct>;
  /** In the order of the graph. */
  readonly between: readonly Node[];
}

function blockBehind(node: Node): ExpertBlock | undefined {
  const down = stackedProduct(node, true);
  if (down === undefined || down.shared) return undefined;
  const sources = new Map<Value, StackedProduct>();
  const between = new Set<Node>();
  const seen = new Set<Value>([down.x]);
  for (const value of seen) {
    const step = stepBehind(value);
    if (step === undefined) return undefined;
    if ('node' in step) between.add(step.node);
    else sources.set(value, step);
    for (const input of 'node' in step ? step.inputs : []) seen.add(input);
  }
  const order = node.graph.nodes.filter((each) => between.has(each));
  const readers = [...seen].flatMap(({ uses }) => [...uses].map((use) => use.node));
  const isWhole = readers.every((reader) => reader === node || between.has(reader));
  const isEqual = [...sources.values()].every(({ tensor }) => tensor.shape[0] === down.tensor.shape[0]);
  const fits = isWhole && isEqual && order.length > 0 && order.length === between.size;
  return fits ? { down, sources, between: order } : undefined;
}

/** What makes a value: a product with a stack, or an operator that works on one expert at a time, with what it reads. */
function stepBehind(
  value: Value,
): StackedProduct | { readonly node: Node; readonly inputs: readonly Value[] } | undefined {
  const node = value.producer;
  if (node === undefined || value.isOutput) return undefined;
  const source = stackedProduct(node, false);
  if (source !== undefined) return source;
  const inputs = node.inputs.filter((input) => input !== undefined);
  return isBetween(node) ? { node, inputs: inputs.filter((input) => constantOf(input) === undefined) } : undefined;
}

/** Elementwise with constants that are the same for all experts, or a division of the last axis. */
function isBetween(node: Node): boolean {
  const vectors = node.inputs.every((input) => (constantOf(input)?.shape.length ?? 0) <= 1);
  if (isElementwise(node) || (isCarrier(node) && /^(Identity|Cast)/.test(node.op))) return vectors;
  if (node.op === 'Split') return intAttribute(node, 'axis', 0) === -1;
  return node.op === 'Slice' && numbersOf(node.inputs[3])?.join() === '-1';
}

function stackAt(value: Value | undefined): Tensor | undefined {
  const tensor = stackOf(value);
  return tensor?.shape.length === 3 ? tensor : undefined;
}

/** `behind`: X is known to have a dimension of the experts, since products with stacks make it. */
function stackedProduct(node: Node, behind: boolean): StackedProduct | undefined {
  if (keyOf(node) === 'Einsum') return stackedEinsum(node);
  const [x, weight] = node.inputs;
  const tensor = stackAt(weight);
  if (!isOp(node, 'MatMul') || x === undefined || weight === undefined || tensor === undefined) return undefined;
  const first = x.type?.shape?.[0] ?? (isOp(x.producer, 'Reshape') ? numbersOf(x.producer.inputs[1])?.[0] : undefined);
  const rank = rankOf(x);
  const shared = rank === 2;
  if (!shared && !behind && !(rank === 3 && first === tensor.shape[0])) return undefined;
  return { x, weight, tensor, transposed: false, shared };
}

function stackedEinsum(node: Node): StackedProduct | undefined {
  const [inputs = '', y = ''] = stringAttribute(node, 'equation', '').replaceAll(' ', '').split('->');
  const terms = inputs.split(',');
  const slot = [1, 0].find((each) => stackAt(node.inputs[each]) !== undefined);
  if (slot === undefined || terms.length !== 2 || !/^[A-Za-z]{3}$/.test(terms[slot] ?? '')) return undefined;
  const [x, weight, tensor] = [node.inputs[1 - slot], node.inputs[slot], stackAt(node.inputs[slot])];
  const [labels, [e = '', a = '', b = '']] = [terms[1 - slot] ?? '', [...(terms[slot] ?? '')]];
  const k = labels.slice(-1);
  const n = k === a ? b : a;
  const shared = labels[0] !== e;
  const lead = labels.slice(shared ? 0 : 1, -1);
  const isPlain =
    (k === a || k === b) && y === e + lead + n && /^[A-Za-z]+$/.test(lead) && !new RegExp(`[${e}${k}${n}]`).test(lead);
  if (!isPlain || x === undefined || weight === undefined || tensor === undefined) return undefined;
  return { x, weight, tensor, transposed: k === b, shared };
}

function split(rw: Rewriter, node: Node, { down, sources, between }: ExpertBlock): void {
  const [count = 0] = down.tensor.shape;
  const old = [down, ...sources.values()].map(({ weight }) => weight);
  const parts = Array.from({ length: count }, (_, expert) => {
    const made = new Map<Value, Value>();
    for (const [output, source] of sources)
      made.set(output, multiply(rw, node, output.producer as Node, source, expert));
    for (const each of between) copy(rw, node, each, made, expert);
    const result = multiply(rw, node, node, { ...down, x: made.get(down.x) as Value, shared: true }, expert);
    return unsqueeze(rw, node, result);
  });
  const name = `${placeOf(node)}.experts`;
  rw.replaceNode(node, { op: 'Concat', inputs: parts, attributes: { axis: int(0) }, name });
  rw.dropUnused([down.x, ...old]);
}

/** X · W of one expert, before `anchor`. */
function multiply(rw: Rewriter, anchor: Node, of: Node, product: StackedProduct, expert: number): Value {
  const { x, weight, tensor, transposed, shared } = product;
  const name = `${placeOf(of)}.${expert}`;
  const matrix = rw.initializer(
    weight.graph,
    `${weight.name}.${expert}`,
    rowsOf(tensor, expert, expert + 1, tensor.shape.slice(1)),
  );
  const add = (op: string, inputs: readonly Value[], attributes = {}): Value =>
    rw.insert(anchor, { op, inputs, attributes, name: op === 'MatMul' ? name : `${name}/${op}` });
  const index = (): Value => rw.initializer(anchor.graph, `${name}/index`, int64Scalar(expert));
  const own = shared ? x : add('Gather', [x, index()], { axis: int(0) });
  return add('MatMul', [own, transposed ? add('Transpose', [matrix], { perm: ints([1, 0]) }) : matrix]);
}

function copy(rw: Rewriter, anchor: Node, node: Node, made: Map<Value, Value>, expert: number): void {
  const inputs = node.inputs.map((input) => (input === undefined ? undefined : (made.get(input) ?? input)));
  const { op, domain, outputs } = node;
  const attributes = Object.fromEntries(node.attributes);
  const types = outputs.map(() => undefined);
  const own = rw.insertNode(anchor, { op, domain, inputs, attributes, name: `${placeOf(node)}.${expert}`, types });
  outputs.forEach((output, slot) => {
    const value = own.outputs[slot];
    if (output !== undefined && value !== undefined) made.set(output, value);
  });
}

function unsqueeze(rw: Rewriter, anchor: Node, value: Value): Value {
  const name = `${value.name}/Unsqueeze`;
  const hasInput = (rw.model.opsets.get('') ?? 1) >= 13;
  if (!hasInput) return rw.insert(anchor, { op: 'Unsqueeze', inputs: [value], attributes: { axes: ints([0]) }, name });
  return rw.insert(anchor, {
    op: 'Unsqueeze',
    inputs: [value, rw.initializer(anchor.graph, `${name}/axes`, int64s([0]))],
    name,
  });
}
