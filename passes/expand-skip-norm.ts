/**
 * Normalizations without a residual inside.
 *
 * Matches: com.microsoft SkipSimplifiedLayerNormalization(x, skip, scale, bias?) = y, mean, deviation, sum.
 * Becomes: sum = x + skip (+ bias) and SimplifiedLayerNormalization(sum, scale), with the outputs that somebody reads.
 * Why it is sound: the specification of the operator.
 * Refuses when: the mean is read, which a root-mean-square normalization does not have.
 */
import { float, int } from '../src/onnx/ir/attribute.js';
import { floatAttribute, type Node, placeOf, type Value } from '../src/onnx/ir/graph.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { applyRule, failed, matched, type Rule } from '../src/onnx/rewrite/match.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

interface SkipNorm {
  readonly node: Node;
  readonly x: Value;
  readonly skip: Value;
  readonly scale: Value;
  readonly bias: Value | undefined;
}

const isRead = (value: Value | undefined): value is Value =>
  value !== undefined && (value.uses.size > 0 || value.isOutput);

const rule: Rule<SkipNorm> = {
  ops: ['com.microsoft::SkipSimplifiedLayerNormalization'],
  match(node) {
    const [x, skip, scale, bias] = node.inputs;
    if (x === undefined || skip === undefined || scale === undefined)
      return failed(placeOf(node), 'an input is absent');
    return isRead(node.outputs[1])
      ? failed(placeOf(node), 'its mean is read')
      : matched({ node, x, skip, scale, bias });
  },
  apply: expand,
};

export const expandSkipNorm: Pass<NoOptions> = definePass({
  name: 'expand-skip-norm',
  summary: 'Splits normalizations that add a residual into a sum and a normalization.',
  options: noOptions,
  keeps: 'values',
  run(rw) {
    applyRule(rw, rule);
  },
});

function expand(rw: Rewriter, { node, x, skip, scale, bias }: SkipNorm): void {
  const at = placeOf(node);
  const [y, , deviation, sum] = node.outputs;
  const first = bias === undefined ? x : rw.insert(node, { op: 'Add', inputs: [x, bias], name: `${at}/bias` });
  const add = { op: 'Add', inputs: [first, skip], name: `${at}/sum` };
  const added = isRead(sum) ? sum : rw.insert(node, add);
  if (isRead(sum)) rw.takeOver(node, [sum], add);
  rw.takeOver(node, isRead(deviation) ? [y, deviation] : [y], {
    op: 'SimplifiedLayerNormalization',
    inputs: [added, scale],
    attributes: { axis: int(-1), epsilon: float(floatAttribute(node, 'epsilon', 1e-12)), stash_type: int(1) },
    name: `${at}/norm`,
  });
  rw.erase(node);
}
