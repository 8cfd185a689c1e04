import { describe, expect, it } from '@jest/globals';
import { modelBytes } from '../../../src/onnx/convert/export.js';
import { importModel } from '../../../src/onnx/convert/import.js';
import { cloneModel } from '../../../src/onnx/ir/clone.js';
import { graphsOf, nodesOf } from '../../../src/onnx/ir/graph.js';
import { printModel } from '../../../src/onnx/ir/print.js';
import { verify } from '../../../src/onnx/ir/verify.js';
import { Rewriter } from '../../../src/onnx/rewrite/rewriter.js';
import { mergedModel } from '../../support/graphs.js';
import { fixture } from '../../support/paths.js';

describe('cloneModel', () => {
  it('copies every node and value, and shares the tensors', () => {
    const model = mergedModel();
    const { model: copy, nodes, values } = cloneModel(model);
    expect(verify(copy)).toEqual([]);
    expect(printModel(copy)).toBe(printModel(model));
    const copied = new Set(nodesOf(copy.graph));
    for (const node of nodesOf(model.graph)) {
      expect(copied.has(node)).toBe(false);
      expect(copied.has(nodes.get(node) as never)).toBe(true);
    }
    for (const { initializers } of graphsOf(model.graph)) {
      for (const value of initializers) expect(values.get(value)?.initializer).toBe(value.initializer);
    }
  });

  it('leaves the original alone when the copy changes', () => {
    const model = mergedModel();
    const text = printModel(model);
    const { model: copy, nodes } = cloneModel(model);
    const [first] = nodes.values();
    const rw = new Rewriter(copy);
    rw.setAttribute(first as never, 'marker', undefined);
    for (const node of copy.graph.nodes) rw.setMetadata(node, 'key', 'text');
    rw.removeOutput(copy.graph, 0);
    expect(printModel(model)).toBe(text);
    expect(verify(model)).toEqual([]);
  });

  it('exports to the same bytes as the original', () => {
    const model = importModel(fixture('models/mistral-656k/model.onnx'));
    expect(Buffer.compare(modelBytes(cloneModel(model).model), modelBytes(model))).toBe(0);
  });
});
