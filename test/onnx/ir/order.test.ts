import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CompilerError } from '../../../src/diagnostics.js';
import type { Node, Value } from '../../../src/onnx/ir/graph.js';
import * as mutate from '../../../src/onnx/ir/mutate.js';
import { topologicalOrder } from '../../../src/onnx/ir/order.js';
import { verify } from '../../../src/onnx/ir/verify.js';
import { parseModel } from '../../support/graph-text.js';
import { mergedModel } from '../../support/graphs.js';

describe('topologicalOrder', () => {
  it('returns an order that holds as it is', () => {
    const { graph } = mergedModel();
    expect(topologicalOrder(graph)).toBe(graph.nodes);
  });

  it('restores validity after any shuffle, nested readers included', () => {
    const { length } = mergedModel(1).graph.nodes;
    const orders = fc.array(fc.nat(), { minLength: length, maxLength: length });
    fc.assert(
      fc.property(orders, (keys) => {
        const model = mergedModel(1);
        const shuffled = model.graph.nodes
          .map((node, at) => [keys[at] ?? 0, node] as const)
          .sort(([a], [b]) => a - b)
          .map(([, node]) => node);
        mutate.setNodes(model.graph, shuffled);
        mutate.setNodes(model.graph, topologicalOrder(model.graph));
        expect(verify(model)).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });

  it('moves as little as it can', () => {
    const { graph } = parseModel(`<ir_version: 8, opset_import: ["" : 18]>
      graph (float[2] x) => (float[2] e) {
        [a] a = Neg (x) [b] b = Neg (x) [c] c = Add (a, b) [d] d = Neg (x) [e] e = Add (c, d)
      }`);
    const [a, b, c, d, e] = graph.nodes as [Node, Node, Node, Node, Node];
    mutate.setNodes(graph, [c, a, b, d, e]);
    expect(topologicalOrder(graph).map(({ name }) => name)).toEqual(['a', 'b', 'c', 'd', 'e']);
    mutate.setNodes(graph, [d, b, a, c, e]);
    expect(topologicalOrder(graph).map(({ name }) => name)).toEqual(['d', 'b', 'a', 'c', 'e']);
  });

  it('names a node of a cycle', () => {
    const { graph } = parseModel(`<ir_version: 8, opset_import: ["" : 18]>
      graph (float[2] x) => (float[2] b) { [first] a = Neg (x) [second] b = Neg (a) }`);
    mutate.connect(graph.nodes[0] as Node, 0, graph.nodes[1]?.outputs[0] as Value);
    expect(() => topologicalOrder(graph)).toThrow(CompilerError);
  });
});
