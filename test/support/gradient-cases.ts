/** A case for every row of the gradient table, and the error of a case against central differences in ONNX Runtime. */

import { gradients } from '../../src/autodiff/gradients.js';
import { graphEmitter } from '../../src/autodiff/graph-emitter.js';
import { modelBytes } from '../../src/onnx/convert/export.js';
import { type Attribute, float, int, ints, string } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { newGraph, newModel } from '../../src/onnx/ir/mutate.js';
import { float32Scalar, float32s, int64s, type Tensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { withSession } from '../../src/runtime/runtime.js';
import { noise } from './decoder.js';

export type Op = (
  op: string,
  inputs: readonly (Value | undefined)[],
  attributes?: Record<string, Attribute>,
  outputs?: number,
) => Value[];
export type Constant = (tensor: Tensor) => Value;

/** A function of inputs with the given shapes; `shift` keeps an operator away from its kinks and poles. */
export interface Case {
  readonly shapes: readonly (readonly number[])[];
  readonly build: (inputs: readonly Value[], op: Op, constant: Constant) => Value;
  readonly shift?: number;
}

const unary = (op: string, attributes: Record<string, Attribute> = {}, shift = 0): Case => ({
  shapes: [[2, 3, 4]],
  build: ([x], make) => make(op, [x], attributes)[0] as Value,
  shift,
});
const binary = (op: string, shift = 0): Case => ({
  shapes: [
    [2, 3, 4],
    [3, 1],
  ],
  build: (x, make) => make(op, x)[0] as Value,
  shift,
});
const shaped = (op: string, ...parameters: readonly (readonly number[])[]): Case => ({
  shapes: [[2, 3, 4]],
  build: ([x], make, constant) => make(op, [x, ...parameters.map((each) => constant(int64s(each)))])[0] as Value,
});
const mask = tensorOf('bool', [3, 1], Uint8Array.of(1, 0, 1));

export const CASES: Readonly<Record<string, Case>> = {
  Add: binary('Add'),
  Sub: binary('Sub'),
  Mul: binary('Mul'),
  Div: binary('Div', 2),
  Min: binary('Min'),
  Max: binary('Max'),
  Pow: {
    shapes: [[2, 3]],
    shift: 2,
    build: ([x], make, constant) => make('Pow', [x, constant(float32Scalar(3))])[0] as Value,
  },
  Clip: {
    shapes: [[2, 12], [], []],
    build: ([x, a, b], make, constant) => {
      const low = make('Sub', [make('Mul', [a, constant(float32Scalar(0.1))])[0], constant(float32Scalar(0.2))])[0];
      const high = make('Add', [make('Mul', [b, constant(float32Scalar(0.1))])[0], constant(float32Scalar(0.2))])[0];
      return make('Clip', [x, low, high])[0] as Value;
    },
  },
  Where: {
    shapes: [[2, 3, 4], [4]],
    build: ([x, y], make, constant) => make('Where', [constant(mask), x, y])[0] as Value,
  },
  Neg: unary('Neg'),
  Sqrt: unary('Sqrt', {}, 2),
  Reciprocal: unary('Reciprocal', {}, 2),
  Exp: unary('Exp'),
  Log: unary('Log', {}, 2),
  Abs: unary('Abs', {}, 2),
  Sin: unary('Sin'),
  Cos: unary('Cos'),
  Erf: unary('Erf'),
  Tanh: unary('Tanh'),
  Sigmoid: unary('Sigmoid'),
  Relu: unary('Relu', {}, 2),
  Softplus: unary('Softplus'),
  Gelu: unary('Gelu', { approximate: string('tanh') }),
  'com.microsoft::QuickGelu': unary('com.microsoft::QuickGelu', { alpha: float(1) }),
  'com.microsoft::Gelu': unary('com.microsoft::Gelu'),
  Identity: unary('Identity'),
  Cast: unary('Cast', { to: int(1) }),
  CastLike: { shapes: [[3, 4]], build: (x, make) => make('CastLike', [x[0], x[0]])[0] as Value },
  MatMul: {
    shapes: [
      [2, 3, 4],
      [4, 5],
    ],
    build: (x, make) => make('MatMul', x)[0] as Value,
  },
  Gemm: {
    shapes: [[4, 3], [5, 4], [5]],
    build: (x, make) =>
      make('Gemm', x, { transA: int(1), transB: int(1), alpha: float(0.5), beta: float(2) })[0] as Value,
  },
  ReduceSum: shaped('ReduceSum', [1]),
  ReduceMean: shaped('ReduceMean', [-1]),
  ReduceMax: shaped('ReduceMax', [1]),
  ReduceMin: shaped('ReduceMin', [-1]),
  Pad: shaped('Pad', [0, 1, 0, 1, 0, 2]),
  Softmax: unary('Softmax', { axis: int(-1) }),
  LogSoftmax: unary('LogSoftmax', { axis: int(1) }),
  SimplifiedLayerNormalization: {
    shapes: [[2, 3, 4], [4]],
    build: (x, make) => make('SimplifiedLayerNormalization', x, { epsilon: float(1e-5), axis: int(-1) })[0] as Value,
  },
  Reshape: shaped('Reshape', [6, 4]),
  Flatten: unary('Flatten'),
  Squeeze: {
    shapes: [[2, 1, 3]],
    build: ([x], make, constant) => make('Squeeze', [x, constant(int64s([1]))])[0] as Value,
  },
  Unsqueeze: shaped('Unsqueeze', [1]),
  Transpose: unary('Transpose', { perm: ints([2, 0, 1]) }),
  Expand: {
    shapes: [[3, 1]],
    build: ([x], make, constant) => make('Expand', [x, constant(int64s([2, 3, 4]))])[0] as Value,
  },
  Slice: shaped('Slice', [1, -3], [3, 4], [1, 2]),
  Concat: {
    shapes: [
      [2, 3],
      [2, 1],
    ],
    build: (x, make) => make('Concat', x, { axis: int(1) })[0] as Value,
  },
  Split: {
    shapes: [[2, 6]],
    build: ([x], make) => make('Split', [x], { axis: int(1), num_outputs: int(3) }, 3)[1] as Value,
  },
  Gather: {
    shapes: [[5, 3]],
    build: ([x], make, constant) => make('Gather', [x, constant(int64s([1, 4, 1]))])[0] as Value,
  },
};

/** Constant almost everywhere, or checked elsewhere because the pinned runtime has no kernel or the rule is a stand-in. */
export const WITHOUT_CASE: ReadonlySet<string> = new Set([
  'Round',
  'Floor',
  'Ceil',
  'Sign',
  'Equal',
  'Less',
  'LessOrEqual',
  'Greater',
  'GreaterOrEqual',
  'And',
  'Or',
  'Not',
  'IsNaN',
  'Shape',
  'ConstantOfShape',
  'ArgMax',
  'matquant::StraightThroughRound',
  'RMSNormalization',
  'Swish',
]);

/** Largest difference between the graph's gradients and central differences, relative to the largest gradient. */
export async function gradientError(test: Case): Promise<number> {
  const model = newModel(
    newGraph('case'),
    9,
    new Map([
      ['', 20],
      ['com.microsoft', 1],
    ]),
  );
  const rw = new Rewriter(model);
  const shapes = new Map<Value, readonly number[]>();
  const inputs = test.shapes.map((shape, at) => rw.addInput(model.graph, `x${at}`, { dtype: 'float32', shape }));
  inputs.forEach((value, at) => shapes.set(value, test.shapes[at] ?? []));
  const constant: Constant = (tensor) => rw.initializer(model.graph, 'constant', tensor);
  const op: Op = (name, operands, attributes = {}, outputs = 1) => {
    const [domain, bare] = name.includes('::') ? (name.split('::') as [string, string]) : ['', name];
    const types = Array.from({ length: outputs }, () => undefined);
    return rw
      .insertNode(model.graph, { op: bare, domain, inputs: operands, attributes, name: bare, types })
      .outputs.filter((v) => v !== undefined);
  };
  const result = test.build(inputs, op, constant);
  const data = test.shapes.map((shape, at) =>
    noise(
      shape.reduce((a, b) => a * b, 1),
      at + 3,
    ).map((x) => 1.5 * x + (test.shift ?? 0)),
  );
  const feeds = (moved?: { at: number; index: number; by: number }) =>
    Object.fromEntries(
      inputs.map((value, at) => {
        const copy = (data[at] as Float32Array).slice();
        if (moved?.at === at) copy[moved.index] = (copy[moved.index] as number) + moved.by;
        return [value.name, { dtype: 'float32' as const, dims: test.shapes[at] ?? [], data: copy }];
      }),
    );
  await observe(model, rw, shapes, feeds());
  const size = (shapes.get(result) ?? []).reduce((a, b) => a * b, 1);
  const weights = constant(float32s(noise(size, 99), shapes.get(result) ?? []));
  const summands = op('Mul', [op('Cast', [result], { to: int(1) })[0], weights])[0] as Value;
  const loss = op('ReduceSum', [summands], { keepdims: int(0) })[0] as Value;
  for (const value of [summands, loss]) shapes.set(value, value === loss ? [] : (shapes.get(result) ?? []));
  const cast = summands.producer?.inputs[0];
  if (cast) shapes.set(cast, shapes.get(result) ?? []);
  const forward = [...model.graph.nodes];
  const found = gradients(
    forward,
    loss,
    inputs,
    graphEmitter(rw, model.graph, shapes, (value) => value.initializer),
  );
  for (const value of [loss, ...found.values()])
    rw.addOutput(model.graph, value, { dtype: 'float32', shape: undefined });
  return withSession(ortRuntime, modelBytes(model), { threads: 1 }, async (session) => {
    const at = await session.run(feeds());
    let worst = 0;
    let largest = 1e-3;
    const step = 1e-2;
    for (const [slot, value] of inputs.entries()) {
      const exact = at[found.get(value)?.name ?? '']?.data as Float32Array;
      for (let index = 0; index < exact.length; index++) {
        const [up, down] = await Promise.all(
          [step, -step].map(
            async (by) =>
              (await session.run(feeds({ at: slot, index, by }), [loss.name]))[loss.name]?.data[0] as number,
          ),
        );
        worst = Math.max(worst, Math.abs(((up as number) - (down as number)) / (2 * step) - (exact[index] as number)));
        largest = Math.max(largest, Math.abs(exact[index] as number));
      }
    }
    return worst / largest;
  });
}

/** Runs the forward part once with every value as an output, and notes the shapes. */
async function observe(
  model: Parameters<typeof modelBytes>[0],
  rw: Rewriter,
  shapes: Map<Value, readonly number[]>,
  feeds: Parameters<Parameters<Parameters<typeof withSession>[3]>[0]['run']>[0],
): Promise<void> {
  const values = model.graph.nodes.flatMap((node) => node.outputs.filter((value) => value !== undefined));
  for (const value of values) rw.addOutput(model.graph, value, { dtype: 'float32', shape: undefined });
  const out = await withSession(ortRuntime, modelBytes(model), { threads: 1, optimization: 'disabled' }, (session) =>
    session.run(feeds),
  ).catch(() => ({}) as Record<string, never>);
  for (const value of values) {
    const dims = (out as Record<string, { dims: readonly number[] } | undefined>)[value.name]?.dims;
    if (dims !== undefined) shapes.set(value, dims);
  }
  while (model.graph.outputs.length > 0) rw.removeOutput(model.graph, 0);
}
