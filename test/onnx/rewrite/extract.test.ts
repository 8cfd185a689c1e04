import { describe, expect, it } from '@jest/globals';
import { modelBytes } from '../../../src/onnx/convert/export.js';
import { graph as graphAttribute, int } from '../../../src/onnx/ir/attribute.js';
import type { Graph, Model, Value } from '../../../src/onnx/ir/graph.js';
import { newGraph, newModel } from '../../../src/onnx/ir/mutate.js';
import { float32s } from '../../../src/onnx/ir/tensor.js';
import { extractModel } from '../../../src/onnx/rewrite/extract.js';
import { Rewriter } from '../../../src/onnx/rewrite/rewriter.js';
import { ortRuntime } from '../../../src/runtime/ort.js';
import { floats } from '../../../src/runtime/runtime.js';

const type = { dtype: 'float32', shape: [2] } as const;

/** Y = if sum(X) > 0 then (X + W) + W else (X + W) * W, with W = [1, 2] captured by both branches. */
const conditional = (): { model: Model; nodes: Record<string, Value> } => {
  const model = newModel(newGraph('g'), 8, new Map([['', 17]]));
  const rewriter = new Rewriter(model);
  const { graph } = model;
  const x = rewriter.addInput(graph, 'X', type);
  const w = rewriter.initializer(graph, 'W', float32s(Float32Array.of(1, 2)));
  const zero = rewriter.initializer(graph, 'zero', float32s(Float32Array.of(0), []));
  const total = rewriter.insert(graph, {
    name: 'total',
    op: 'ReduceSum',
    inputs: [x],
    attributes: { keepdims: int(0) },
  });
  const positive = rewriter.insert(graph, { name: 'positive', op: 'Greater', inputs: [total, zero] });
  const sum = rewriter.insert(graph, { name: 'sum', op: 'Add', inputs: [x, w] });
  const branch = (name: string, op: string): Graph => {
    const inner = newGraph(name);
    rewriter.addOutput(inner, rewriter.insert(inner, { name, op, inputs: [sum, w] }), type);
    return inner;
  };
  const attributes = {
    then_branch: graphAttribute(branch('then', 'Add')),
    else_branch: graphAttribute(branch('else', 'Mul')),
  };
  const y = rewriter.insert(graph, { name: 'choose', op: 'If', inputs: [positive], attributes });
  rewriter.addOutput(graph, y, type);
  return { model, nodes: { x, w, positive, sum, y } };
};

const run = async (model: Model, feeds: Record<string, ReturnType<typeof floats>>): Promise<readonly number[]> => {
  const session = await ortRuntime.open(modelBytes(model), { threads: 1 });
  const outputs = await session.run(feeds);
  await session.close();
  return Object.values(outputs).flatMap(({ data }) => [...(data as Float32Array)]);
};

describe('extractModel', () => {
  it('copies nodes with their nested graphs and what those capture', async () => {
    const { model, nodes } = conditional();
    const value = nodes.x as Value;
    const part = { name: 'all', nodes: model.graph.nodes, inputs: [{ value, type }], resolve: (same: Value) => same };
    const copy = extractModel(model, part);
    new Rewriter(copy.model).addOutput(copy.model.graph, copy.copyOf(nodes.y as Value), type);
    expect(await run(copy.model, { X: floats(Float32Array.of(1, 1)) })).toEqual([3, 5]);
    expect(await run(copy.model, { X: floats(Float32Array.of(-1, -1)) })).toEqual([0, 2]);
    expect(await run(model, { X: floats(Float32Array.of(1, 1)) })).toEqual([3, 5]);
  });

  it('exchanges tensors in the copy alone', async () => {
    const { model, nodes } = conditional();
    const replaced = new Map([[nodes.w as Value, float32s(Float32Array.of(10, 20))]]);
    const sum = model.graph.nodes.filter((node) => node.name === 'sum');
    const part = {
      name: 'sum',
      nodes: sum,
      inputs: [{ value: nodes.x as Value, type }],
      resolve: (same: Value) => same,
      replaced,
    };
    const copy = extractModel(model, part);
    new Rewriter(copy.model).addOutput(copy.model.graph, copy.copyOf(nodes.sum as Value), type);
    expect(await run(copy.model, { X: floats(Float32Array.of(1, 1)) })).toEqual([11, 21]);
    expect([...copy.model.graph.initializers].map(({ name }) => name)).toEqual(['W']);
    expect(await run(model, { X: floats(Float32Array.of(1, 1)) })).toEqual([3, 5]);
  });

  it('refuses a part that reads what it does not hold', () => {
    const { model } = conditional();
    const nodes = model.graph.nodes.filter((node) => node.name === 'sum');
    expect(() => extractModel(model, { name: 'sum', nodes, inputs: [], resolve: (same) => same })).toThrow(
      /sum reads X/,
    );
  });
});
