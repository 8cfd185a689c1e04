/**
 * Graphs without nodes that only rename a value.
 *
 * Matches: Identity(x) = y.
 * Becomes: every reader of y reads x.
 * Why it is sound: x is y (ONNX Identity), and it is made earlier in the same scope.
 * Refuses when: y is a graph output, whose name is the interface.
 */
import { isOp, type Node, placeOf, type Value } from '../src/onnx/ir/graph.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import { noIdentity } from '../src/onnx/rewrite/facts.js';
import { applyRule, failed, matched, type Rule } from '../src/onnx/rewrite/match.js';

interface Renaming {
  readonly node: Node;
  readonly from: Value;
  readonly to: Value;
}

const rule: Rule<Renaming> = {
  ops: ['Identity'],
  match(node) {
    const [to] = node.inputs;
    const [from] = node.outputs;
    if (!isOp(node, 'Identity') || to === undefined || from === undefined)
      return failed(placeOf(node), 'an operand is absent');
    return from.isOutput ? failed(placeOf(node), `${from.name} is a graph output`) : matched({ node, from, to });
  },
  apply(rw, { node, from, to }) {
    rw.replaceUses(from, to);
    rw.erase(node);
  },
};

export const removeIdentity: Pass<NoOptions> = definePass({
  name: 'remove-identity',
  summary: 'Removes Identity nodes.',
  options: noOptions,
  needs: [],
  gives: [noIdentity],
  keeps: 'bits',
  idempotent: true,
  run(rw) {
    applyRule(rw, rule);
  },
});
