/** Notes of exporters: gone from a PyTorch export, and with them most of its graph. */
import { describe, expect, it } from '@jest/globals';
import { dropNotes } from '../../passes/drop-notes.js';
import { modelBytes } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { graphsOf } from '../../src/onnx/ir/graph.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { gemma3 } from '../support/stories.js';

describe('drop-notes', () => {
  it('leaves no stack trace in the bytes of an export', () => {
    const model = importModel(gemma3);
    const notes = (): number =>
      [...graphsOf(model.graph)].flatMap(({ nodes }) => nodes).filter(({ metadata }) => metadata.size > 0).length;
    expect(notes()).toBeGreaterThan(100);
    runPasses(model, [step(dropNotes)]);
    expect(notes()).toBe(0);
    for (const { initializers } of graphsOf(model.graph))
      for (const value of initializers) if (value.initializer) expect(value.metadata.size).toBe(0);
    expect(Buffer.from(modelBytes(model)).includes('pkg.torch')).toBe(false);
  });

  it('keeps what sets are read by, and metadata of the model', () => {
    const b = new GraphBuilder({ opset: 18 });
    const y = b.op('Neg', [b.input('x', 'float32', [2])]);
    const node = y.producer;
    if (node === undefined) throw new Error('no node');
    b.rewriter.setMetadata(node, 'matquant.projection', 'layers.0.gate');
    b.rewriter.setMetadata(node, 'namespace', 'model');
    b.output(y, 'y', { dtype: 'float32', shape: [2] });
    b.rewriter.setMetadata(b.model(), 'author', 'somebody');
    runPasses(b.model(), [step(dropNotes)]);
    expect([...b.model().metadata]).toEqual([['author', 'somebody']]);
    expect([...node.metadata]).toEqual([['matquant.projection', 'layers.0.gate']]);
  });
});
