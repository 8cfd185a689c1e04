import { describe, expect, it } from '@jest/globals';
import { elementTypeOf } from '../../src/analysis/element-types.js';
import { int } from '../../src/onnx/ir/attribute.js';
import { newGraph, newModel } from '../../src/onnx/ir/mutate.js';
import { int64s } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';

describe('elementTypeOf', () => {
  it('follows operators where the file says nothing', () => {
    const model = newModel(newGraph('g'), 8, new Map([['', 17]]));
    const rewriter = new Rewriter(model);
    const x = rewriter.addInput(model.graph, 'X', { dtype: 'float16', shape: undefined });
    const add = (op: string, inputs: Parameters<typeof rewriter.insert>[1]['inputs'], attributes = {}) =>
      rewriter.insert(model.graph, { name: op, op, inputs, attributes });
    const sum = add('Add', [x, x]);
    const shape = add('Shape', [sum]);
    const small = add('Less', [sum, x]);
    const cast = add('Cast', [shape], { to: int(1) });
    const chosen = add('Where', [small, cast, cast]);
    const gathered = add('Gather', [rewriter.initializer(model.graph, 'table', int64s([1, 2])), shape]);
    const constant = add('Constant', [], { value_float: { kind: 'float', value: 1 } });
    const types = [sum, shape, small, cast, chosen, gathered, constant].map((value) => elementTypeOf(value));
    expect(types).toEqual(['float16', 'int64', 'bool', 'float32', 'float32', 'int64', 'float32']);
  });
});
