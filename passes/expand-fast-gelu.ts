/**
 * The approximate GELU in standard operators.
 *
 * Matches: com.microsoft FastGelu(x, bias?).
 * Becomes: Gelu(x + bias, approximate = tanh) from operator set 20 on, and 0.5 x (1 + tanh(c (x + 0.044715 x^3))) with
 * c = sqrt(2/pi) before.
 * Why it is sound: the specification of the operator, which is this formula (Hendrycks and Gimpel 2016).
 * Refuses when: the element type of x cannot be told, which the constants of the formula need.
 */
import { elementTypeOf } from '../src/analysis/element-types.js';
import { string } from '../src/onnx/ir/attribute.js';
import { type Node, placeOf, type Value } from '../src/onnx/ir/graph.js';
import type { FloatDType } from '../src/onnx/ir/half.js';
import { floatScalar } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { applyRule, failed, matched, type Rule } from '../src/onnx/rewrite/match.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

interface FastGelu {
  readonly node: Node;
  readonly x: Value;
  readonly bias: Value | undefined;
  readonly dtype: FloatDType;
}

const FLOATS: readonly FloatDType[] = ['float32', 'float16', 'bfloat16', 'float64'];

const rule: Rule<FastGelu> = {
  ops: ['com.microsoft::FastGelu'],
  match(node) {
    const [x, bias] = node.inputs;
    if (x === undefined) return failed(placeOf(node), 'its input is absent');
    const dtype = FLOATS.find((each) => each === elementTypeOf(x));
    return dtype === undefined
      ? failed(placeOf(node), 'the type of its input cannot be told')
      : matched({ node, x, bias, dtype });
  },
  apply(rw, { node, x, bias, dtype }) {
    const sum =
      bias === undefined ? x : rw.insert(node, { op: 'Add', inputs: [x, bias], name: `${placeOf(node)}/bias` });
    if ((rw.model.opsets.get('') ?? 0) >= 20) {
      rw.replaceNode(node, {
        op: 'Gelu',
        inputs: [sum],
        attributes: { approximate: string('tanh') },
        name: placeOf(node),
      });
    } else expand(rw, node, sum, dtype);
  },
};

export const expandFastGelu: Pass<NoOptions> = definePass({
  name: 'expand-fast-gelu',
  summary: 'Writes FastGelu in standard operators.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    applyRule(rw, rule);
  },
});

/** 0.5 x (1 + tanh(x (c + 0.044715 c x^2))). */
function expand(rw: Rewriter, node: Node, x: Value, dtype: FloatDType): void {
  const at = placeOf(node);
  const c = Math.sqrt(2 / Math.PI);
  const number = (name: string, value: number): Value =>
    rw.initializer(node.graph, `${at}/${name}`, floatScalar(value, dtype));
  const add = (op: string, name: string, ...inputs: Value[]): Value =>
    rw.insert(node, { op, inputs, name: `${at}/${name}` });
  const square = add('Mul', 'square', x, x);
  const slope = add('Add', 'slope', add('Mul', 'cubic', square, number('a', 0.044715 * c)), number('c', c));
  const wave = add('Tanh', 'tanh', add('Mul', 'inner', x, slope));
  const gate = add('Add', 'gate', wave, number('one', 1));
  const half = add('Mul', 'half', x, number('half_number', 0.5));
  rw.replaceNode(node, { op: 'Mul', inputs: [half, gate], name: at });
}
