import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ints } from '../../../src/onnx/ir/attribute.js';
import type { Model, Node, Value } from '../../../src/onnx/ir/graph.js';
import { graphsOf, nodesOf } from '../../../src/onnx/ir/graph.js';
import * as mutate from '../../../src/onnx/ir/mutate.js';
import { float32s, lazyTensor } from '../../../src/onnx/ir/tensor.js';
import { verify, verifyOrFail } from '../../../src/onnx/ir/verify.js';
import { Rewriter } from '../../../src/onnx/rewrite/rewriter.js';
import { parseModel } from '../../support/graph-text.js';
import { decoderModel, mergedModel } from '../../support/graphs.js';

const model = (): Model =>
  parseModel(`<ir_version: 8, opset_import: ["" : 18]>
    graph (float[2] x) => (float[2] y) <float[2] w = {1, 2}> {
      [first] a = Add (x, w)
      [second] b = Neg (a)
      [third] y = Mul (a, b)
    }`);

const nodeOf = ({ graph }: Model, name: string): Node => graph.nodes.find((node) => node.name === name) as Node;
const outputOf = (of: Model, name: string): Value => nodeOf(of, name).outputs[0] as Value;
const codes = (of: Model): readonly string[] => verify(of).map(({ code, at }) => `${code} ${at}`);

describe('verify', () => {
  it('accepts models as they are built, nested graphs included', () => {
    for (const valid of [model(), decoderModel(), mergedModel()]) expect(verify(valid)).toEqual([]);
  });

  it('sees a node before what it reads', () => {
    const broken = model();
    mutate.setNodes(broken.graph, broken.graph.nodes.toReversed());
    expect(codes(broken)).toContain('cyclic-graph second');
    expect(() => verifyOrFail(broken)).toThrow();
  });

  it('sees values that nothing makes', () => {
    const broken = model();
    mutate.connect(nodeOf(broken, 'second'), 0, mutate.newValue(broken.graph, 'ghost'));
    expect(codes(broken)).toEqual(['unknown-value second']);
    const erased = model();
    mutate.detach(nodeOf(erased, 'second'));
    expect(codes(erased)).toEqual(['unknown-value third']);
  });

  it('sees two values of one name', () => {
    const broken = model();
    mutate.setName(outputOf(broken, 'second'), 'a');
    expect(codes(broken)).toEqual(['duplicate-name a']);
  });

  it('sees a nested value that hides an outer one which is read there', () => {
    const hiding = (inner: string): Model =>
      parseModel(`<ir_version: 8, opset_import: ["" : 18]>
        graph (float[2] x, bool[1] c) => (float[2] y) {
          y = If <then_branch: graph = t () => (p) { ${inner} = Neg (x) p = Add (x, ${inner}) },
                  else_branch: graph = e () => (q) { q = Neg (x) }> (c)
        }`);
    expect(verify(hiding('a'))).toEqual([]);
    const model = hiding('a');
    const branch = [...graphsOf(model.graph)].find(({ name }) => name === 't');
    mutate.setName(branch?.nodes[0]?.outputs[0] as Value, 'x');
    expect(codes(model)).toEqual(['duplicate-name x']);
  });

  it('sees values read from a graph that does not surround the reader', () => {
    const broken = mergedModel(1);
    const [, then, otherwise] = [...graphsOf(broken.graph)];
    const reader = otherwise?.nodes.find((node) => node.inputs[0]?.graph === otherwise) as Node;
    mutate.connect(reader, 0, then?.nodes[0]?.outputs[0]);
    expect(codes(broken).map((code) => code.split(' ')[0])).toContain('unknown-value');
  });

  it('sees uses and inputs that disagree', () => {
    const broken = model();
    (outputOf(broken, 'first').uses as Set<unknown>).clear();
    expect(codes(broken)).toEqual(['invalid-graph a']);
    const stale = model();
    (outputOf(stale, 'third').uses as Set<unknown>).add({ node: nodeOf(stale, 'first'), slot: 0 });
    expect(codes(stale)).toEqual(['invalid-graph y']);
  });

  it('sees initializers of the wrong size', () => {
    const broken = model();
    const [weight] = broken.graph.initializers;
    const tensor = { ...lazyTensor('float32', [3], () => new Uint8Array()), byteLength: 8 };
    mutate.setInitializer(weight as Value, tensor);
    expect(codes(broken)).toEqual(['tensor-size w']);
  });

  it('sees operators of domains that are not imported', () => {
    const broken = model();
    mutate.setOp(nodeOf(broken, 'second'), 'FastGelu', 'com.microsoft');
    expect(codes(broken)).toEqual(['invalid-graph second']);
  });

  it('accepts what random rewrites leave', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(), fc.nat(3)), { minLength: 1, maxLength: 20 }), (edits) => {
        const subject = mergedModel(1);
        const rw = new Rewriter(subject);
        for (const [pick, kind] of edits) edit(rw, pick, kind);
        expect(verify(subject)).toEqual([]);
      }),
      { numRuns: 50 },
    );
  });
});

/** One rewrite of a kind, at a node chosen by a number. */
function edit(rw: Rewriter, pick: number, kind: number): void {
  const nodes = [...nodesOf(rw.model.graph)];
  const node = nodes[pick % nodes.length] as Node;
  const [input] = node.inputs;
  if (input === undefined || node.op === 'If') return;
  if (kind === 0) rw.replaceInput(node, 0, rw.insert(node, { op: 'Identity', inputs: [input], name: 'extra' }));
  if (kind === 1) rw.replaceNode(node, { op: 'Identity', inputs: [input], name: 'replaced' });
  if (kind === 2) rw.replaceInput(node, 0, rw.initializer(node.graph, 'fresh', float32s(Float32Array.of(1))));
  if (kind === 3) {
    const shape = rw.insert(node, {
      op: 'Transpose',
      inputs: [input],
      attributes: { perm: ints([0]) },
      name: 'unused',
    });
    rw.dropIfUnused(shape);
  }
}
