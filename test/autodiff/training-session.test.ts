/** Training graphs: loss and gradients against PyTorch and against differences, learning through rounding, a whole decoder. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { analyse } from '../../src/analysis/projections.js';
import type { TrainingRequest } from '../../src/autodiff/training-graph.js';
import { TrainingSession } from '../../src/autodiff/training-session.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { float, int } from '../../src/onnx/ir/attribute.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { toFloat32 } from '../../src/onnx/ir/half.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type Feeds, floats, type HostTensor, integers } from '../../src/runtime/runtime.js';
import { divergence, meanSquaredError } from '../../src/train/losses.js';
import { AdamW, cosineRate } from '../../src/train/optimizer.js';
import { noise } from '../support/decoder.js';
import { fixture } from '../support/paths.js';

interface Numbers {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

interface Fixture {
  readonly epsilon: number;
  readonly loss: number;
  readonly target: Numbers;
  readonly tensors: Readonly<Record<string, Numbers>>;
  readonly gradients: Readonly<Record<string, Numbers>>;
}

const block = JSON.parse(readFileSync(fixture('calibrate/gated-block.json'), 'utf8')) as Fixture;
const feedOf = ({ shape, values }: Numbers): HostTensor => floats(Float32Array.from(values), shape);
const tensorFeeds = Object.fromEntries(Object.entries(block.tensors).map(([name, numbers]) => [name, feedOf(numbers)]));
const feeds: Feeds = { ...tensorFeeds, target: feedOf(block.target) };
const PARAMETERS = ['scale', 'gate', 'up', 'down'] as const;

/** The block as exporters write it, with its residual; `fused` in the form of onnxruntime-genai. */
function gatedBlock(fused: boolean): Model {
  const b = new GraphBuilder();
  const x = b.input('x', 'float32', ['batch', 'length', 8]);
  const [scale, gate, up, down] = PARAMETERS.map((name) => {
    const { shape, values } = block.tensors[name] as Numbers;
    return b.constant(float32s(Float32Array.from(values), shape), name);
  }) as [Value, Value, Value, Value];
  const epsilon = float(block.epsilon);
  const zero = b.constant(float32s(new Float32Array(8)), 'zero');
  const normed = fused
    ? b.op('com.microsoft::SkipSimplifiedLayerNormalization', [x, b.op('Mul', [x, zero]), scale], { epsilon })
    : b.op('SimplifiedLayerNormalization', [x, scale], { epsilon, axis: int(-1) });
  const gated = b.op('MatMul', [normed, gate]);
  const active = fused
    ? b.op('com.microsoft::QuickGelu', [gated], { alpha: float(1) })
    : b.op('Mul', [gated, b.op('Sigmoid', [gated])]);
  const wide = b.op('Mul', [active, b.op('MatMul', [normed, up])]);
  b.output(b.op('Add', [x, b.op('MatMul', [wide, down])]), 'y', { dtype: 'float32', shape: ['batch', 'length', 8] });
  return b.model();
}

const named = ({ graph }: Model, name: string): Value => {
  const values = [...graph.inputs, ...graph.outputs, ...graph.initializers];
  return values.find((value) => value.name === name) as Value;
};

function requestOf(model: Model, parameters: readonly string[] = PARAMETERS): TrainingRequest {
  return {
    model,
    name: 'block',
    nodes: model.graph.nodes,
    fed: [named(model, 'x')],
    parameters: parameters.map((name) => named(model, name)),
    build: (b, copyOf) => {
      const target = b.input('target', 'float32', ['batch', 'length', 8]);
      const y = copyOf(named(model, 'y'));
      const wrt = ['x', ...parameters].map((name) => copyOf(named(model, name)));
      return { loss: meanSquaredError(b, y, target), wrt };
    },
  };
}

async function training<T>(
  request: TrainingRequest,
  first: Feeds,
  use: (session: TrainingSession) => Promise<T>,
): Promise<T> {
  const session = await TrainingSession.open(ortRuntime, request, first, { threads: 1 });
  try {
    return await use(session);
  } finally {
    await session.close();
  }
}

/** Largest difference over the largest element. */
const distance = (actual: Float32Array, expected: ArrayLike<number>): number => {
  const largest = Math.max(...Array.from(expected, Math.abs));
  return Math.max(...Array.from(expected, (value, at) => Math.abs(value - (actual[at] as number)))) / largest;
};

describe('a gated block', () => {
  it.each([false, true])('has the loss and the gradients of PyTorch, within 1e-4 (fused %s)', async (fused) => {
    await training(requestOf(gatedBlock(fused)), feeds, async (session) => {
      const { loss, gradients } = await session.step(feeds);
      expect(session.wrt).toEqual(['x', ...PARAMETERS]);
      expect(Math.abs(loss / block.loss - 1)).toBeLessThan(1e-4);
      session.wrt.forEach((name, at) => {
        expect(distance(gradients[at] as Float32Array, (block.gradients[name] as Numbers).values)).toBeLessThan(1e-4);
      });
    });
  });

  it('has the slope that its loss shows along each gradient, within 1 %', async () => {
    await training(requestOf(gatedBlock(false)), feeds, async (session) => {
      const { gradients } = await session.step(feeds);
      for (const [at, name] of session.wrt.entries()) {
        const gradient = gradients[at] as Float32Array;
        const norm = Math.hypot(...gradient);
        const { data, dims } = feeds[name] as HostTensor;
        const moved = async (by: number): Promise<number> => {
          const values = (data as Float32Array).map((value, i) => value + (by * (gradient[i] as number)) / norm);
          return (await session.step({ ...feeds, [name]: floats(values, dims) })).loss;
        };
        const slope = ((await moved(1e-2)) - (await moved(-1e-2))) / 2e-2;
        expect(Math.abs(slope / norm - 1)).toBeLessThan(1e-2);
      }
    });
  });

  it('learns', async () => {
    const values = PARAMETERS.map((name) => Float32Array.from((block.tensors[name] as Numbers).values));
    const adam = new AdamW(values.map((each) => ({ values: each })));
    const rate = cosineRate(0.02, 60, 5);
    const current = (): Feeds => ({
      ...feeds,
      ...Object.fromEntries(
        PARAMETERS.map((name, at) => [name, floats(values[at] as Float32Array, block.tensors[name]?.shape)]),
      ),
    });
    const losses = await training(requestOf(gatedBlock(false)), feeds, async (session) => {
      const found: number[] = [];
      for (let step = 0; step < 60; step++) {
        const { loss, gradients } = await session.step(current());
        adam.step(gradients.slice(1), rate(step));
        found.push(loss);
      }
      return found;
    });
    expect(losses.at(-1)).toBeLessThan(0.3 * (losses[0] as number));
  });
});

describe('rounding that lets gradients through', () => {
  const b = new GraphBuilder();
  const x = b.input('x', 'float32', [4, 4]);
  const w = b.constant(float32s(noise(16, 1), [4, 4]), 'w');
  b.output(b.op('MatMul', [x, w]), 'y', { dtype: 'float32', shape: [4, 4] });
  const model = b.model();

  it('has the gradient of the identity; the scale learns', async () => {
    const request: TrainingRequest = {
      model,
      name: 'rounded',
      nodes: model.graph.nodes,
      fed: [x],
      parameters: [],
      build: (builder, copyOf) => {
        const scale = builder.input('scale', 'float32', []);
        const weight = copyOf(w);
        const readers = [...weight.uses];
        const code = builder.op('matquant::StraightThroughRound', [builder.op('Div', [weight, scale])]);
        const quantized = builder.op('Mul', [code, scale]);
        for (const { node, slot } of readers) builder.rewriter.replaceInput(node, slot, quantized);
        const target = builder.input('target', 'float32', [4, 4]);
        const [y] = model.graph.outputs;
        return { loss: meanSquaredError(builder, copyOf(y as Value), target), wrt: [scale] };
      },
    };
    const eye = Float32Array.from({ length: 16 }, (_, at) => (at % 5 === 0 ? 1 : 0));
    const weights = toFloat32((w.initializer as NonNullable<Value['initializer']>).bytes(), 'float32');
    const s = 0.3;
    const first = { x: floats(eye, [4, 4]), target: floats(weights, [4, 4]), scale: floats(Float32Array.of(s), []) };
    const { loss, gradients } = await training(request, first, (session) => session.step(first));
    const errors = Array.from(weights, (value) => s * Math.round(value / s) - value);
    const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
    expect(loss).toBeCloseTo(mean(errors.map((error) => error * error)), 6);
    // d/ds of s round(w/s), with round passed through: round(w/s) - w/s = error / s.
    expect(gradients[0]?.[0]).toBeCloseTo(mean(errors.map((error) => (2 * error * error) / s)), 5);
  });
});

describe('a whole decoder', () => {
  it('is differentiated from the divergence of its logits down to the first layer', async () => {
    const model = importModel(fixture('models/gemma3-tiny/model.onnx'));
    const { projections } = analyse(model);
    const [gate, down] = ['layers.0.gate', 'layers.3.down'].map((id) => projections.find((each) => each.id === id));
    const parameters = [gate, down].map((each) => each?.weight.source as Value);
    const logits = named(model, 'logits');
    const request: TrainingRequest = {
      model,
      name: 'decoder',
      nodes: model.graph.nodes,
      fed: model.graph.inputs,
      parameters,
      build: (b, copyOf) => ({
        loss: divergence(b, copyOf(logits), b.input('teacher', 'float32', [1, 'length', 2048])),
      }),
    };
    const length = 6;
    const ids = [1, 50, 300, 7, 1000, 42];
    const teacher = floats(new Float32Array(length * 2048).fill(-Math.log(2048)), [1, length, 2048]);
    const weights = parameters.map(({ initializer }) =>
      floats(toFloat32(initializer?.bytes() as Uint8Array, 'float32').slice(), initializer?.shape),
    );
    const first: Feeds = {
      ...Object.fromEntries(model.graph.inputs.map(({ name }) => [name, inputOf(name, ids)])),
      ...Object.fromEntries(parameters.map(({ name }, at) => [name, weights[at] as HostTensor])),
      teacher,
    };
    await training(request, first, async (session) => {
      const { loss, gradients } = await session.step(first);
      expect(loss).toBeGreaterThan(0);
      for (const [at, name] of session.wrt.entries()) {
        const gradient = gradients[at] as Float32Array;
        const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value * value, 0));
        const moved = async (by: number): Promise<number> => {
          const { data, dims } = first[name] as HostTensor;
          const values = (data as Float32Array).map((value, i) => value + (by * (gradient[i] as number)) / norm);
          return (await session.step({ ...first, [name]: floats(values, dims) })).loss;
        };
        const slope = ((await moved(0.02)) - (await moved(-0.02))) / 0.04;
        expect(Math.abs(slope / norm - 1)).toBeLessThan(0.02);
      }
    });
  });
});

function inputOf(name: string, ids: readonly number[]): HostTensor {
  if (name === 'input_ids') return integers(ids, [1, ids.length]);
  if (name === 'attention_mask')
    return integers(
      ids.map(() => 1),
      [1, ids.length],
    );
  if (name === 'position_ids')
    return integers(
      ids.map((_, at) => at),
      [1, ids.length],
    );
  return floats(new Float32Array(0), [1, 1, 0, 32]);
}

describe('what cannot be trained', () => {
  const expectRefusal = (request: TrainingRequest, given: Feeds): Promise<void> =>
    expect(training(request, given, async () => {})).rejects.toMatchObject({ code: 'unsupported-model' });

  it('is a loss of more than one number, or one that a parameter has no part in', async () => {
    const request = requestOf(gatedBlock(false), []);
    const y = named(request.model, 'y');
    await expectRefusal({ ...request, build: (_, copyOf) => ({ loss: copyOf(y) }) }, { x: feeds['x'] as HostTensor });
    const apart: TrainingRequest = {
      ...request,
      build: (b, copyOf) => ({
        loss: meanSquaredError(b, copyOf(y), copyOf(named(request.model, 'x'))),
        wrt: [b.input('apart', 'float32', [2])],
      }),
    };
    await expectRefusal(apart, { x: feeds['x'] as HostTensor, apart: floats(new Float32Array(2)) });
  });

  it('is a step of another shape', async () => {
    await training(requestOf(gatedBlock(false)), feeds, async (session) => {
      const longer = floats(new Float32Array(64), [2, 4, 8]);
      await expect(session.step({ ...feeds, x: longer })).rejects.toMatchObject({ code: 'runtime-failed', at: 'x' });
    });
  });
});
