/** The feed-forward part of one layer: gated blocks and mixtures of experts. */
import { float, int, string } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import type { Tensor } from '../../src/onnx/ir/tensor.js';
import { gathered, routedBlock, separate, sliced, split, stacked } from '../../test/support/experts.js';
import { toyWeight } from '../../test/support/toy.js';
import { type Parts, seedOf } from './parts.js';
import { SIZE } from './spec.js';

const { hidden, ffn, experts } = SIZE;
const STORAGES = { branches: separate, gathered, sliced, split } as const;

/** What the feed-forward part makes of x [batch, tokens, hidden]. */
export function feedForward(parts: Parts, x: Value, layer: number): Value {
  const { b, spec } = parts;
  const at = `layers.${layer}.mlp`;
  const kind = spec.feedForward ?? 'gated';
  if (kind === 'gated') return gated(parts, x, at);
  if (kind === 'merged') return merged(parts, x, at);
  const made =
    kind in STORAGES
      ? routedBlock(STORAGES[kind as keyof typeof STORAGES])(b, x, { gate: NONE, up: NONE, down: NONE }, layer)
      : stackedExperts(parts, x, at, kind as 'einsum' | 'batched' | 'chosen' | 'fused');
  return spec.sharedExpert ? b.op('Add', [made, gated(parts, x, `${at}.shared_expert`)]) : made;
}

const NONE: Tensor = toyWeight(1, 1, 1);

function gated(parts: Parts, x: Value, at: string): Value {
  const [gate, up] = ['gate_proj', 'up_proj'].map((name) => parts.linear(x, `${at}.${name}`, hidden, ffn));
  const product = parts.b.op('Mul', [parts.activate(gate as Value), up]);
  return parts.linear(product, `${at}.down_proj`, ffn, hidden);
}

function merged(parts: Parts, x: Value, at: string): Value {
  const both = parts.linear(x, `${at}.gate_up_proj`, hidden, 2 * ffn);
  const [gate, up] = parts.split(both, [ffn, ffn]) as [Value, Value];
  return parts.linear(parts.b.op('Mul', [parts.activate(gate), up]), `${at}.down_proj`, ffn, hidden);
}

/** A stack of one matrix an expert, [experts, rows, columns]. */
function stackOf(parts: Parts, name: string, rows: number, columns: number): Value {
  const each = (expert: number): Tensor => toyWeight(rows, columns, seedOf(`${name}.${expert}`));
  return parts.constant(`${name}.weight`, () => stacked(Array.from({ length: experts }, (_, at) => each(at))));
}

function stackedExperts(parts: Parts, x: Value, at: string, kind: 'einsum' | 'batched' | 'chosen' | 'fused'): Value {
  const { b } = parts;
  const scores = parts.linear(x, `${at}.router`, hidden, experts);
  if (kind === 'fused') return fused(parts, x, scores, at);
  const stacks = {
    gate: stackOf(parts, `${at}.experts.gate_proj`, hidden, ffn),
    up: stackOf(parts, `${at}.experts.up_proj`, hidden, ffn),
    down: stackOf(parts, `${at}.experts.down_proj`, ffn, hidden),
  };
  const shape = b.op('Shape', [x]);
  const flat = b.op('Reshape', [x, b.integers([-1, hidden])]);
  const chances = b.op('Softmax', [b.op('Reshape', [scores, b.integers([-1, experts])])], { axis: int(-1) });
  if (kind === 'chosen') return b.op('Reshape', [chosen(parts, flat, chances, stacks), shape]);
  const product = (input: Value, stack: Value, name: string): Value => {
    const equation = string(name === 'down' ? 'esk,ekn->esn' : 'sk,ekn->esn');
    return kind === 'einsum'
      ? b.op('Einsum', [input, stack], { equation }, { name: `/${at}/${name}/Einsum` })
      : b.op('MatMul', [input, stack], {}, { name: `/${at}/${name}/MatMul` });
  };
  const active = b.op('Mul', [parts.activate(product(flat, stacks.gate, 'gate')), product(flat, stacks.up, 'up')]);
  const made = product(active, stacks.down, 'down');
  const shares = b.op('Unsqueeze', [b.op('Transpose', [chances]), b.integers([-1])]);
  return b.op('Reshape', [
    b.op('ReduceSum', [b.op('Mul', [made, shares]), b.integers([0])], { keepdims: int(0) }),
    shape,
  ]);
}

/** Every token with the matrices of its best expert. */
function chosen(
  parts: Parts,
  flat: Value,
  chances: Value,
  stacks: Readonly<Record<'gate' | 'up' | 'down', Value>>,
): Value {
  const { b } = parts;
  const best = b.op('ArgMax', [chances], { axis: int(-1), keepdims: int(0) });
  const own = (stack: Value): Value => b.op('Gather', [stack, best], { axis: int(0) });
  const row = b.op('Unsqueeze', [flat, b.integers([1])]);
  const [gate, up] = [stacks.gate, stacks.up].map((stack) => b.op('MatMul', [row, own(stack)])) as [Value, Value];
  return b.op('MatMul', [b.op('Mul', [parts.activate(gate), up]), own(stacks.down)]);
}

/** ONNX Runtime's operator, with gate and up in turn. */
function fused(parts: Parts, x: Value, scores: Value, at: string): Value {
  const { b } = parts;
  const first = stackOf(parts, `${at}.experts.gate_up_proj`, 2 * ffn, hidden);
  const second = stackOf(parts, `${at}.experts.down_proj`, hidden, ffn);
  const attributes = {
    k: int(2),
    activation_type: string('swiglu'),
    swiglu_fusion: int(1),
    activation_alpha: float(1),
    activation_beta: float(0),
    normalize_routing_weights: int(1),
  };
  const inputs = [x, b.op('Reshape', [scores, b.integers([-1, experts])]), first, undefined, second];
  return b.op('com.microsoft::MoE', inputs, attributes, { name: `/${at}/MoE` });
}
