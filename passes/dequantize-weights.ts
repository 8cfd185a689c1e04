/**
 * Weights that another quantizer wrote, as float tensors.
 *
 * Matches: DequantizeLinear of constants (codes of 4, 8 and 32 bits; one scale, one per row or one per block); MatMulNBits with constant
 * codes of 2, 4 and 8 bits; QMoE with integer codes; GatherBlockQuantized with constant codes of 4 and 8 bits.
 * Becomes: a float initializer; a MatMul with its transpose, and an Add where there was a bias; MoE; a Gather. Numbers are computed when
 * they are read.
 * Why it is sound: the result of these operators is defined by the float tensor. MatMulNBits may compute with activations of 8 bits,
 * which a MatMul does not: its results are nearer to the definition.
 * Refuses when: codes, scales or zeros are computed, are graph inputs, or have another type or number of elements; MatMulNBits has an
 * order of columns (`g_idx`) or weights in the order of a kernel; DequantizeLinear has an `output_dtype`, or its result is a graph
 * output.
 */
import { expertCodes, isPlainMixture, linearCodes, productCodes, tableCodes } from '../src/analysis/coded-weights.js';
import { keyOf } from '../src/analysis/operators.js';
import { ints } from '../src/onnx/ir/attribute.js';
import { type Node, nodesOf, placeOf, type Value } from '../src/onnx/ir/graph.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';
import { type Coded, decodedTensor, isSameReading } from '../src/quant/coded.js';

export const dequantizeWeights: Pass<NoOptions> = definePass({
  name: 'dequantize-weights',
  summary: 'Makes float tensors of quantized weights.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    const made: Made = new Map();
    for (const node of [...nodesOf(rw.model.graph)]) RULES[keyOf(node)]?.(rw, node, made);
  },
});

/** Float values by those of the codes, since branches share weights: one for each way to read the codes. */
type Made = Map<Value, readonly { readonly coded: Coded; readonly value: Value }[]>;

/** Replaces a node, with the help of what was made before. */
type Rule = (rw: Rewriter, node: Node, made: Made) => void;

/** Attributes of QMoE that say how its weights are stored. */
const STORAGE: ReadonlySet<string> = new Set([
  'expert_weight_bits',
  'block_size',
  'quant_type',
  'weights_prepacked',
  'accuracy_level',
]);

const RULES: Readonly<Record<string, Rule>> = {
  DequantizeLinear(rw, node, made) {
    const [stored, output] = [node.inputs[0], node.outputs[0]];
    const coded = linearCodes(node);
    if (coded === undefined || stored === undefined || output === undefined || output.isOutput) return;
    rw.replaceUses(output, floatValue(rw, stored, coded, made));
    rw.eraseDead(node);
  },
  'com.microsoft::MatMulNBits'(rw, node, made) {
    const [x, stored] = node.inputs;
    const coded = productCodes(node);
    if (coded === undefined || x === undefined || stored === undefined) return;
    const name = placeOf(node);
    const weight = floatValue(rw, stored, coded, made);
    const turned = rw.insert(node, {
      op: 'Transpose',
      inputs: [weight],
      attributes: { perm: ints([1, 0]) },
      name: `${name}/Transpose`,
    });
    const bias = node.inputs[5];
    const product = { op: 'MatMul', inputs: [x, turned], name };
    const others = node.inputs.slice(1, 4);
    if (bias === undefined) rw.replaceNode(node, product);
    else rw.replaceNode(node, { op: 'Add', inputs: [rw.insert(node, product), bias], name: `${name}/Add` });
    rw.dropUnused(others);
  },
  'com.microsoft::QMoE'(rw, node, made) {
    const slots = [
      [2, 11],
      [5, 12],
      [8, 13],
    ] as const;
    const stacks = slots.map(([slot, zeros]) =>
      node.inputs[slot] === undefined ? undefined : expertCodes(node, slot, zeros),
    );
    const isWhole = slots.every(([slot], at) => (node.inputs[slot] === undefined) === (stacks[at] === undefined));
    if (!isWhole || stacks[0] === undefined || !isPlainMixture(node)) return;
    const floats = slots.flatMap(([slot], at) => {
      const [stored, coded] = [node.inputs[slot], stacks[at]];
      return [stored && coded && floatValue(rw, stored, coded, made), node.inputs[slot + 2]];
    });
    const old = [2, 3, 5, 6, 8, 9, 11, 12, 13].map((slot) => node.inputs[slot]);
    const attributes = Object.fromEntries([...node.attributes].filter(([name]) => !STORAGE.has(name)));
    const inputs = [...node.inputs.slice(0, 2), ...floats];
    rw.replaceNode(node, { op: 'MoE', domain: 'com.microsoft', inputs, attributes, name: placeOf(node) });
    rw.dropUnused(old);
  },
  'com.microsoft::GatherBlockQuantized'(rw, node, made) {
    const [stored, ids] = node.inputs;
    const coded = tableCodes(node);
    if (coded === undefined || stored === undefined || ids === undefined) return;
    const table = floatValue(rw, stored, coded, made);
    const others = [0, 2, 3].map((slot) => node.inputs[slot]);
    rw.replaceNode(node, { op: 'Gather', inputs: [table, ids], name: placeOf(node) });
    rw.dropUnused(others);
  },
};

function floatValue(rw: Rewriter, stored: Value, coded: Coded, made: Made): Value {
  const before = made.get(stored) ?? [];
  const found = before.find((each) => isSameReading(each.coded, coded));
  if (found !== undefined) return found.value;
  const value = rw.initializer(stored.graph, `${stored.name}.float`, decodedTensor(coded));
  made.set(stored, [...before, { coded, value }]);
  return value;
}
