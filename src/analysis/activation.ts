/** Names the activation of a gated block from the nodes between the gate and the Mul, for the report. */
import { floatAttribute, type Node, stringAttribute } from '../onnx/ir/graph.js';
import { scalarOf } from './constants.js';
import { NAMED_ACTIVATIONS } from './operators.js';

/** A rule looks at the nodes of the activation; the first rule that knows it gives the name. */
type Rule = (nodes: readonly Node[], direct: boolean) => string | undefined;

const has = (nodes: readonly Node[], op: string): boolean => nodes.some((node) => node.op === op);

/** The sigmoid approximation of GELU (Hendrycks and Gimpel, 2016) scales by 1.702 where SiLU does not scale. */
const SIGMOID_GELU = 1.702;
const isSigmoidGelu = (scale: number | undefined): boolean =>
  scale !== undefined && Math.abs(scale - SIGMOID_GELU) < 0.01;

const RULES: readonly Rule[] = [
  (nodes) => (has(nodes, 'FastGelu') ? 'gelu-tanh' : undefined),
  (nodes) => {
    const gelu = nodes.find((node) => node.op === 'Gelu');
    if (gelu === undefined) return undefined;
    return stringAttribute(gelu, 'approximate', 'none') === 'tanh' ? 'gelu-tanh' : 'gelu';
  },
  (nodes) => (has(nodes, 'BiasGelu') || has(nodes, 'Erf') ? 'gelu' : undefined),
  (nodes) => {
    const swish = nodes.find((node) => node.op === 'QuickGelu' || node.op === 'Swish');
    if (swish === undefined) return undefined;
    const alpha = floatAttribute(swish, 'alpha', swish.op === 'Swish' ? 1 : SIGMOID_GELU);
    if (isSigmoidGelu(alpha)) return 'gelu-sigmoid';
    return alpha === 1 ? 'silu' : 'swish';
  },
  (nodes, direct) => {
    if (!has(nodes, 'Tanh')) return undefined;
    return direct || nodes.some(hasCubeFactor) ? 'gelu-tanh' : 'tanh';
  },
  (nodes, direct) => {
    if (!has(nodes, 'Sigmoid')) return undefined;
    if (nodes.some((node) => node.op === 'Mul' && node.inputs.some((input) => isSigmoidGelu(scalarOf(input)))))
      return 'gelu-sigmoid';
    return direct || nodes.some(multipliesSigmoid) ? 'silu' : 'sigmoid';
  },
  (nodes) => nodes.find((node) => NAMED_ACTIVATIONS.has(node.op))?.op.toLowerCase(),
];

/** 0.044715, the factor of the cube in the tanh approximation of GELU. */
function hasCubeFactor(node: Node): boolean {
  return node.op === 'Mul' && node.inputs.some((input) => Math.abs((scalarOf(input) ?? 0) - 0.044715) < 1e-4);
}

function multipliesSigmoid(node: Node): boolean {
  return node.op === 'Mul' && node.inputs.some((input) => input?.producer?.op === 'Sigmoid');
}

/**
 * `silu`, `gelu-tanh`, `gelu` (erf), `gelu-sigmoid`, or the operator's own name; `identity` when nothing bends.
 * `nodes` depend on the gate and not on up, in order; `direct` says that the gate also reaches the Mul without an activation.
 */
export function activationOf(nodes: readonly Node[], direct: boolean): string {
  for (const rule of RULES) {
    const name = rule(nodes, direct);
    if (name !== undefined) return name;
  }
  return 'identity';
}
