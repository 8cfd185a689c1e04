/**
 * Reverse-mode differentiation of a graph into the same graph (Griewank and Walther, "Evaluating Derivatives", chapter 3):
 * one walk from the loss back, each operator's rule applied once, gradients of a value with several uses summed.
 */
import { fail } from '../diagnostics.js';
import { type Node, placeOf, type Value } from '../onnx/ir/graph.js';
import { float32Scalar } from '../onnx/ir/tensor.js';
import type { Emitter, GradRule } from './emitter.js';
import { RULES } from './rules.js';

/**
 * Gradients of the scalar `loss` with respect to each of `wrt`. `nodes` is the forward part in topological order.
 * An operator without a rule on a path from `wrt` to the loss is an error: nothing is silently constant.
 */
export function gradients(
  nodes: readonly Node[],
  loss: Value,
  wrt: readonly Value[],
  emit: Omit<Emitter, 'wants'>,
  rules: Readonly<Record<string, GradRule>> = RULES,
): ReadonlyMap<Value, Value> {
  const wanted = reachable(nodes, wrt);
  const emitter: Emitter = { ...bind(emit), wants: (value) => value !== undefined && wanted.has(value) };
  const adjoint = new Map<Value, Value>([[loss, emitter.constant(float32Scalar(1))]]);
  for (const node of [...nodes].reverse()) {
    const dy = node.outputs.map((output) => (output === undefined ? undefined : adjoint.get(output)));
    if (dy.every((each) => each === undefined) || !node.inputs.some((input) => emitter.wants(input))) continue;
    accumulate(node, ruleOf(node, rules)(node, dy, emitter), adjoint, emitter);
  }
  return new Map(wrt.flatMap((value) => (adjoint.has(value) ? [[value, adjoint.get(value) as Value] as const] : [])));
}

/** Every value that depends on one of `sources`, the sources included. */
function reachable(nodes: readonly Node[], sources: readonly Value[]): ReadonlySet<Value> {
  const reached = new Set<Value>(sources);
  for (const node of nodes) {
    if (!node.inputs.some((input) => input !== undefined && reached.has(input))) continue;
    for (const output of node.outputs) if (output !== undefined) reached.add(output);
  }
  return reached;
}

function ruleOf(node: Node, rules: Readonly<Record<string, GradRule>>): GradRule {
  const key = node.domain === '' ? node.op : `${node.domain}::${node.op}`;
  return rules[key] ?? fail('unsupported-model', placeOf(node), `There is no gradient rule for the operator ${key}`);
}

function accumulate(node: Node, dx: readonly (Value | undefined)[], adjoint: Map<Value, Value>, emit: Emitter): void {
  dx.forEach((gradient, slot) => {
    const input = node.inputs[slot];
    if (gradient === undefined || input === undefined || !emit.wants(input)) return;
    const before = adjoint.get(input);
    adjoint.set(input, before === undefined ? gradient : emit.op('Add', [before, gradient]));
  });
}

function bind(emit: Omit<Emitter, 'wants'>): Omit<Emitter, 'wants'> {
  return {
    opset: emit.opset,
    op: (...args) => emit.op(...args),
    ops: (...args) => emit.ops(...args),
    constant: (tensor) => emit.constant(tensor),
    shape: (value) => emit.shape(value),
    integers: (value) => emit.integers(value),
  };
}
