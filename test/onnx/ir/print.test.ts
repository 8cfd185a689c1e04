import { describe, expect, it } from '@jest/globals';
import { float, int, ints, string, tensor } from '../../../src/onnx/ir/attribute.js';
import { printModel } from '../../../src/onnx/ir/print.js';
import { float32s, tensorOf } from '../../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../../src/onnx/rewrite/builder.js';
import { parseModel } from '../../support/graph-text.js';
import { mergedModel } from '../../support/graphs.js';

const SAMPLE = `<
  ir_version: 8,
  opset_import: ["" : 18, "com.microsoft" : 1]
>
graph (float[batch, "past + 1", ?] x) => (float[] y, int64 n)
<
  float[2, 2] w = {1, 0.1, -3.5, 1e-7},
  float[20] long = {20 elements, sha256 5b6fb58e61fa}
>
{
  [/mlp/Mat] a = com.microsoft.FusedMatMul <alpha: float = 0.5, transB: int = 1> (x, w)
  [b] b = Transpose <perm: ints = [1, 0]> (a)
  [c] y = Clip (b, , long)
  [d] n = Constant <value: tensor = int64 {7}> ()
}
`;

describe('printModel', () => {
  it('writes the syntax of the ONNX printer', () => {
    const b = new GraphBuilder({ opset: 18 });
    const x = b.input('x', 'float32', ['batch', 'past + 1', undefined]);
    const w = b.constant(float32s(Float32Array.of(1, 0.1, -3.5, 1e-7), [2, 2]), 'w');
    const long = b.constant(float32s(new Float32Array(20)), 'long');
    const fused = { transB: int(1), alpha: float(0.5) };
    const a = b.op('com.microsoft::FusedMatMul', [x, w], fused, { name: '/mlp/Mat' });
    const turned = b.op('Transpose', [a], { perm: ints([1, 0]) }, { name: 'b' });
    b.output(b.op('Clip', [turned, undefined, long], {}, { name: 'c' }), 'y', { dtype: 'float32', shape: undefined });
    const seven = tensor(tensorOf('int64', [], BigInt64Array.of(7n)));
    b.output(b.op('Constant', [], { value: seven }, { name: 'd' }), 'n', { dtype: 'int64', shape: [] });
    const text = printModel(b.model()).replace('/mlp/Mat_output', 'a').replace('(/mlp/Mat_output)', '(a)');
    expect(text.replaceAll('b_output', 'b')).toBe(SAMPLE);
  });

  it('leaves large tensors unread when asked', () => {
    expect(printModel(mergedModel(), { digests: false })).not.toContain('sha256');
    expect(printModel(mergedModel())).toContain('sha256');
  });

  it('quotes text and shows metadata', () => {
    const b = new GraphBuilder();
    const x = b.input('x', 'float32', [1]);
    b.output(b.op('Op', [x], { mode: string('a "b"') }), 'y');
    b.rewriter.setMetadata(b.model(), 'tool', 'this');
    const text = printModel(b.model());
    expect(text).toContain('mode: string = "a \\"b\\""');
    expect(text).toContain('metadata_props: ["tool": "this"]');
  });

  it('is read back by the parser of the golden files', () => {
    const model = mergedModel(1);
    for (const value of model.graph.initializers) expect(value.initializer).toBeDefined();
    const small = `<
  ir_version: 8,
  opset_import: ["" : 18]
>
graph (float[2] x, bool[1] c) => (float[2] y)
{
  [if] y = If <else_branch: graph = e () => (q)
  {
    [n] q = Neg (x)
  }, then_branch: graph = t () => (p)
  <
    float[2] one = {1, 1}
  >
  {
    [m] p = Add (x, one)
  }> (c)
}
`;
    expect(printModel(parseModel(small))).toBe(small);
  });
});
