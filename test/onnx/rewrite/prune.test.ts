import { describe, expect, it } from '@jest/globals';
import { newGraph, newModel } from '../../../src/onnx/ir/mutate.js';
import { float32s } from '../../../src/onnx/ir/tensor.js';
import { prune } from '../../../src/onnx/rewrite/prune.js';
import { Rewriter } from '../../../src/onnx/rewrite/rewriter.js';

describe('prune', () => {
  it('removes chains that end nowhere with their initializers, and keeps what an output needs', () => {
    const model = newModel(newGraph('g'), 8, new Map([['', 17]]));
    const rewriter = new Rewriter(model);
    const { graph } = model;
    const type = { dtype: 'float32', shape: [2] } as const;
    const x = rewriter.addInput(graph, 'X', type);
    const [shared, alone] = ['shared', 'alone'].map((name) =>
      rewriter.initializer(graph, name, float32s(Float32Array.of(1, 2))),
    );
    const add = (name: string, ...inputs: readonly (typeof x | undefined)[]) =>
      rewriter.insert(graph, { name, op: 'Add', inputs: inputs.filter((each) => each !== undefined) });
    const kept = add('kept', x, shared);
    const first = add('first', kept, alone);
    add('left', first, shared);
    add('right', first, first);
    rewriter.addOutput(graph, add('end', kept, x), type);
    prune(rewriter);
    expect(graph.nodes.map(({ name }) => name)).toEqual(['kept', 'end']);
    expect([...graph.initializers].map(({ name }) => name)).toEqual(['shared']);
    expect(graph.inputs).toEqual([x]);
  });
});
