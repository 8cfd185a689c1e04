/**
 * ONNX Runtime's mixture of experts as one branch per expert.
 *
 * Matches: MoE (com.microsoft) with constant stacks of weights and a gated block: `swiglu` with gate and up in one stack, in turn or side
 * by side; `silu` and `swiglu` with a stack of their own for up (FC3).
 * Becomes: TopK of the router's softmax, and for each expert the rows that it was chosen for (NonZero, Gather), a product with each
 * matrix, and a sum into the rows of the result (ScatterND).
 * Why it is sound: this is how the operator is defined. Experts share nothing but the rows, and what they make of a row is added up.
 * Refuses when: the activation has no gate; the router is a sparse mixer; a stack or a bias is computed; stacks do not fit each other
 * or the rows, as those of the older form [experts, in, out]; the operator set is below 18, of which ScatterND and ReduceSum are.
 */
import { constantOf } from '../src/analysis/constants.js';
import { stackOf } from '../src/analysis/weights.js';
import { int, ints, string, tensor as tensorAttribute } from '../src/onnx/ir/attribute.js';
import { floatAttribute, intAttribute, type Node, placeOf, stringAttribute, type Value } from '../src/onnx/ir/graph.js';
import type { FloatDType } from '../src/onnx/ir/half.js';
import { floatScalar, int64Scalar, int64s, reshaped, rowsOf, type Tensor } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { applyRule, failed, matched, type Rule } from '../src/onnx/rewrite/match.js';
import type { NewNode, Rewriter } from '../src/onnx/rewrite/rewriter.js';

/** A stack of matrices [experts, out, in] with its bias [experts, out]. */
interface Stack {
  readonly weight: Tensor;
  readonly bias: Tensor | undefined;
}

interface Mixture {
  readonly node: Node;
  readonly x: Value;
  readonly router: Value;
  /** Gate, or gate and up. */
  readonly first: Stack;
  readonly down: Stack;
  readonly up: Stack | undefined;
}

const OPSET = 18;

const rule: Rule<Mixture> = {
  ops: ['com.microsoft::MoE'],
  match(node) {
    const [x, router] = node.inputs;
    const [first, down, up] = [2, 4, 6].map((slot) => stackAt(node, slot));
    const isConstant = first !== undefined && down !== undefined && (node.inputs[6] === undefined || up !== undefined);
    if (x === undefined || router === undefined || !isConstant)
      return failed(placeOf(node), 'a stack of weights is not constant');
    const mixture = { node, x, router, first, down, up };
    const problem = problemOf(node) ?? shapeProblem(mixture);
    return problem === undefined ? matched(mixture) : failed(placeOf(node), problem);
  },
  apply: expand,
};

export const expandMoe: Pass<NoOptions> = definePass({
  name: 'expand-moe',
  summary: 'Writes a mixture of experts in one operator as one branch per expert.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    if ((rw.model.opsets.get('') ?? 1) >= OPSET) applyRule(rw, rule);
  },
});

function stackAt(node: Node, slot: number): Stack | undefined {
  const weight = stackOf(node.inputs[slot]);
  const given = node.inputs[slot + 1];
  const bias = constantOf(given);
  return weight?.shape.length !== 3 || (given !== undefined && bias === undefined) ? undefined : { weight, bias };
}

function problemOf(node: Node): string | undefined {
  const activation = stringAttribute(node, 'activation_type', 'relu');
  const isMerged = intAttribute(node, 'swiglu_fusion', 0) > 0;
  const hasUp = node.inputs[6] !== undefined;
  if (intAttribute(node, 'use_sparse_mixer', 0) === 1) return 'its router is a sparse mixer';
  if (intAttribute(node, 'swiglu_limit_after_activation', 0) === 1) return 'it limits the gate after the activation';
  // Only swiglu reads a stack as gate and up.
  if (activation === 'silu') return hasUp ? undefined : 'its block has no gate';
  if (activation !== 'swiglu') return `the activation ${activation} has no gate`;
  return isMerged === hasUp ? 'gate and up are stored twice or not at all' : undefined;
}

/** Stacks [experts, out, in] that fit each other, their biases and the width of the rows, where that is known. */
function shapeProblem({ x, first, down, up }: Mixture): string | undefined {
  const [experts = 0, wide = 0, hidden = 0] = first.weight.shape;
  const inner = up === undefined ? wide / 2 : wide;
  const width = x.type?.shape?.at(-1);
  const fits = (stack: Stack, n: number, k: number): boolean =>
    stack.weight.shape.join() === `${experts},${n},${k}` &&
    (stack.bias === undefined || stack.bias.shape.join() === `${experts},${n}`);
  const isWhole =
    fits(first, wide, hidden) && fits(down, hidden, inner) && (up === undefined || fits(up, inner, hidden));
  if (!isWhole) return 'the shapes of its stacks do not fit each other';
  return typeof width === 'number' && width !== hidden ? `its rows have ${width} elements, not ${hidden}` : undefined;
}

function expand(rw: Rewriter, mixture: Mixture): void {
  const { node, x, first } = mixture;
  const [experts = 0, , hidden = 0] = first.weight.shape;
  const dtype = first.weight.dtype as FloatDType;
  const make = new Maker(rw, node, dtype);
  const flat = make.op('Reshape', [x, make.integers([-1, hidden])]);
  const { weights, chosen } = routing(make, mixture);
  const zero = tensorAttribute(reshaped(floatScalar(0, dtype), [1]));
  let total = make.op('ConstantOfShape', [make.op('Shape', [flat])], { value: zero });
  for (let expert = 0; expert < experts; expert++) {
    const inner = make.inside(`expert.${expert}`);
    const place = inner.op('NonZero', [inner.op('Equal', [chosen, inner.integer(expert)])]);
    const row = inner.op('Gather', [place, inner.integer(0)], { axis: int(0) });
    const own = inner.op('Gather', [flat, row], { axis: int(0) }, 'rows');
    const share = inner.op('GatherND', [weights, inner.op('Transpose', [place], { perm: ints([1, 0]) }, 'places')]);
    const made = block(inner, own, mixture, expert);
    const weighted = inner.op('Mul', [made, inner.op('Unsqueeze', [share, inner.integers([1])], {}, 'share')]);
    const index = inner.op('Unsqueeze', [row, inner.integers([1])], {}, 'index');
    total = inner.op('ScatterND', [total, index, weighted], { reduction: string('add') });
  }
  const old = node.inputs.slice(2);
  const shape = make.op('Shape', [x], {}, 'shape');
  rw.replaceNode(node, { op: 'Reshape', inputs: [total, shape], name: `${placeOf(node)}/output` });
  rw.dropUnused(old);
}

/** Weights and experts of each row, [rows, k]. */
function routing(make: Maker, { node, router }: Mixture): { readonly weights: Value; readonly chosen: Value } {
  const chances = make.op('Softmax', [router], { axis: int(-1) });
  const count = make.integers([intAttribute(node, 'k', 1)]);
  const [best, chosen] = make.ops('TopK', [chances, count], 2, { axis: int(-1) }) as [Value, Value];
  if (intAttribute(node, 'normalize_routing_weights', 0) === 0) return { weights: best, chosen };
  const sum = make.op('ReduceSum', [best, make.integers([-1])], { keepdims: int(1) });
  return { weights: make.op('Div', [best, sum]), chosen };
}

/** What one expert makes of its rows. */
function block(make: Maker, x: Value, { node, first, down, up }: Mixture, expert: number): Value {
  const merged = up === undefined;
  const made = make.product(x, first, expert, merged ? 'gate_up' : 'gate');
  const [gate, other] = merged ? halves(make, made, node, first) : [made, make.product(x, up, expert, 'up')];
  return make.product(gated(make, gate, other, node), down, expert, 'down');
}

/** Columns in turn, or side by side. */
function halves(make: Maker, both: Value, node: Node, { weight }: Stack): readonly [Value, Value] {
  const size = weight.shape[1] ?? 0;
  const inTurn = intAttribute(node, 'swiglu_fusion', 0) === 1;
  const part = (from: number, to: number, step: number, label: string): Value =>
    make.op('Slice', [both, ...[[from], [to], [-1], [step]].map((each) => make.integers(each))], {}, label);
  return inTurn
    ? [part(0, size, 2, 'gate'), part(1, size, 2, 'up')]
    : [part(0, size / 2, 1, 'gate'), part(size / 2, size, 1, 'up')];
}

/** g · sigmoid(alpha · g) · (l + beta), both limited. */
function gated(make: Maker, gate: Value, up: Value, node: Node): Value {
  const isSwiglu = stringAttribute(node, 'activation_type', '') === 'swiglu';
  const setting = (name: string, otherwise: number): number =>
    isSwiglu ? floatAttribute(node, name, otherwise) : otherwise;
  const [alpha, beta] = [setting('activation_alpha', 1), setting('activation_beta', 0)];
  const limit = setting('swiglu_limit', Number.POSITIVE_INFINITY);
  const isLimited = Number.isFinite(limit);
  const g = isLimited ? make.op('Min', [gate, make.scalar(limit)]) : gate;
  const l = isLimited ? make.op('Clip', [up, make.scalar(-limit), make.scalar(limit)]) : up;
  const scaled = alpha === 1 ? g : make.op('Mul', [g, make.scalar(alpha)], {}, 'alpha');
  const active = make.op('Mul', [g, make.op('Sigmoid', [scaled])], {}, 'activation');
  return make.op('Mul', [active, beta === 0 ? l : make.op('Add', [l, make.scalar(beta)], {}, 'beta')], {}, 'gated');
}

/** Nodes and constants before one node, under its name. */
class Maker {
  readonly #rw: Rewriter;
  readonly #anchor: Node;
  readonly #dtype: FloatDType;
  readonly #path: string;
  /** Numbers that are needed again and again. */
  readonly #known: Map<string, Value>;

  constructor(
    rw: Rewriter,
    anchor: Node,
    dtype: FloatDType,
    path: string = placeOf(anchor),
    known: Map<string, Value> = new Map(),
  ) {
    this.#rw = rw;
    this.#anchor = anchor;
    this.#dtype = dtype;
    this.#path = path;
    this.#known = known;
  }

  inside(label: string): Maker {
    return new Maker(this.#rw, this.#anchor, this.#dtype, `${this.#path}/${label}`, this.#known);
  }

  op(op: string, inputs: readonly Value[], attributes: NewNode['attributes'] = {}, label: string = op): Value {
    return this.#rw.insert(this.#anchor, { op, inputs, attributes, name: `${this.#path}/${label}` });
  }

  ops(op: string, inputs: readonly Value[], count: number, attributes: NewNode['attributes'] = {}): readonly Value[] {
    const types = Array.from({ length: count }, () => undefined);
    const node = this.#rw.insertNode(this.#anchor, { op, inputs, attributes, name: `${this.#path}/${op}`, types });
    return node.outputs.filter((value) => value !== undefined);
  }

  /** X · Wᵀ with the matrix of one expert, and its bias. */
  product(x: Value, { weight, bias }: Stack, expert: number, label: string): Value {
    const [, n = 0, k = 0] = weight.shape;
    const matrix = this.#constant(`${label}.weight`, rowsOf(weight, expert, expert + 1, [n, k]));
    const turned = this.op('Transpose', [matrix], { perm: ints([1, 0]) }, `${label}/Transpose`);
    const made = this.op('MatMul', [x, turned], {}, `${label}/MatMul`);
    if (bias === undefined) return made;
    return this.op(
      'Add',
      [made, this.#constant(`${label}.bias`, rowsOf(bias, expert, expert + 1, [n]))],
      {},
      `${label}/Add`,
    );
  }

  integers(values: readonly number[]): Value {
    return this.#once(`integers ${values}`, () => int64s(values));
  }

  integer(value: number): Value {
    return this.#once(`integer ${value}`, () => int64Scalar(value));
  }

  scalar(value: number): Value {
    return this.#once(`scalar ${value}`, () => floatScalar(value, this.#dtype));
  }

  #once(key: string, make: () => Tensor): Value {
    const value = this.#known.get(key) ?? this.#constant(key.split(' ', 1)[0] as string, make());
    this.#known.set(key, value);
    return value;
  }

  #constant(label: string, tensor: Tensor): Value {
    return this.#rw.initializer(this.#anchor.graph, `${this.#path}/${label}`, tensor);
  }
}
