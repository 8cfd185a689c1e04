import { describe, expect, it } from '@jest/globals';
import { graph } from '../../../src/onnx/ir/attribute.js';
import { verify } from '../../../src/onnx/ir/verify.js';
import { GraphBuilder } from '../../../src/onnx/rewrite/builder.js';
import { floats } from '../../../src/runtime/runtime.js';
import { runModel } from '../../support/run.js';
import { matrix } from '../../support/spellings.js';

describe('GraphBuilder', () => {
  it('builds a model that runs', async () => {
    const b = new GraphBuilder({ opset: 18 });
    const x = b.input('x', 'float32', ['batch', 2]);
    b.output(b.op('Add', [b.op('MatMul', [x, b.constant(matrix(2, 2, 1), 'w')]), b.scalar(1)]), 'y');
    expect(verify(b.model())).toEqual([]);
    const { y } = await runModel(b.model(), { x: floats(Float32Array.of(0, 0), [1, 2]) });
    expect(y?.data).toEqual(Float32Array.of(1, 1));
  });

  it('gives the IR version that came with the operator set', () => {
    const versions = [8, 14, 18, 20, 22, 23, 25].map((opset) => new GraphBuilder({ opset }).model().irVersion);
    expect(versions).toEqual([6, 7, 8, 9, 10, 11, 13]);
  });

  it('makes names unique, but takes the interface at its word', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', [1]);
    const [first, second] = [b.op('Neg', [x]), b.op('Neg', [x])];
    expect([first.producer?.name, second.producer?.name]).toEqual(['Neg', 'Neg_1']);
    expect(() => b.input('x', 'float32', [1])).toThrow(/taken/);
    expect(() => b.output(first, 'x')).toThrow(/taken/);
  });

  it('gives an output of its own to inputs, initializers and values that are outputs already', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', [1]);
    const y = b.output(b.op('Neg', [x]), 'y');
    b.output(x, 'same');
    b.output(y, 'again');
    b.output(b.scalar(1), 'one');
    const { outputs } = b.model().graph;
    expect(outputs.map(({ name, producer }) => `${name} ${producer?.op}`)).toEqual([
      'y Neg',
      'same Identity',
      'again Identity',
      'one Identity',
    ]);
    expect(verify(b.model())).toEqual([]);
  });

  it('stores a number once, and declares domains', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', [1]);
    expect(b.scalar(2)).toBe(b.scalar(2));
    expect(b.integers([1, 2])).toBe(b.integers([1, 2]));
    expect(b.integers([1])).not.toBe(b.integer(1));
    b.output(b.op('com.microsoft::FastGelu', [x]), 'y');
    expect(b.model().opsets.get('com.microsoft')).toBe(1);
  });

  it('builds branches whose names repeat and that see what is around', () => {
    const b = new GraphBuilder();
    const [x, c] = [b.input('x', 'float32', [1]), b.input('c', 'bool', [1])];
    const branch = (name: string, op: string) =>
      b.branch(name, (inner) => inner.output(inner.op(op, [x], {}, { name: 'node' }), 'result'));
    const attributes = { then_branch: graph(branch('t', 'Neg')), else_branch: graph(branch('e', 'Abs')) };
    b.output(b.op('If', [c], attributes), 'y');
    expect(verify(b.model())).toEqual([]);
    expect(b.op('Neg', [x], {}, { name: 'node' }).producer?.name).toBe('node_1');
  });

  it('appends to a graph that exists', () => {
    const b = new GraphBuilder();
    const y = b.op('Neg', [b.input('x', 'float32', [1])]);
    const more = new GraphBuilder(b.rewriter, b.graph);
    more.output(more.op('Abs', [y]), 'z');
    expect(b.model().graph.nodes.map(({ op }) => op)).toEqual(['Neg', 'Abs']);
    expect(more.opset).toBe(18);
  });
});
