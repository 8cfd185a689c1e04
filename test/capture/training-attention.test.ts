/** Gradients through attention and rotary embeddings that come as single operators, by the slope of the loss along them. */
import { describe, expect, it } from '@jest/globals';
import type { TrainingRequest } from '../../src/autodiff/training-graph.js';
import { TrainingSession } from '../../src/autodiff/training-session.js';
import { float, int } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type Feeds, floats, type HostTensor } from '../../src/runtime/runtime.js';
import { type Case, grouped, multiHead, plain } from '../support/attention.js';
import { noise } from '../support/decoder.js';

/** Queries, keys and values, or all three in one. */
const OPERANDS = /^(q|k|v|qkv|x\d)$/;

/** The loss is y weighted by noise: attention takes the mean of what it reads, so squares would say little of the scores. */
function requestOf({ model, feeds }: Case): TrainingRequest {
  const y = model.graph.outputs[0] as Value;
  return {
    model,
    name: 'attention',
    nodes: model.graph.nodes,
    fed: model.graph.inputs,
    parameters: [],
    build: (b, copyOf) => {
      const dims = (y.type?.shape ?? []) as readonly number[];
      const count = dims.reduce((product, dim) => product * dim, 1);
      const weighted = b.op('Mul', [copyOf(y), b.constant(float32s(noise(count, 99), dims))]);
      const wrt = model.graph.inputs.filter(({ name }) => OPERANDS.test(name) && name in feeds).map(copyOf);
      return { loss: b.op('ReduceSum', [weighted], { keepdims: int(0) }), wrt };
    },
  };
}

async function expectSlopes(each: Case): Promise<void> {
  const session = await TrainingSession.open(ortRuntime, requestOf(each), each.feeds, { threads: 1 });
  try {
    const { gradients } = await session.step(each.feeds);
    expect(session.wrt.length).toBeGreaterThan(0);
    for (const [at, name] of session.wrt.entries()) {
      const { data, dims } = each.feeds[name] as HostTensor;
      const gradient = gradients[at] as Float32Array;
      const norm = Math.hypot(...gradient);
      const moved = async (by: number): Promise<number> => {
        const values = (data as Float32Array).map((value, i) => value + (by * (gradient[i] as number)) / norm);
        const fed: Feeds = { ...each.feeds, [name]: floats(values, dims) };
        return (await session.step(fed)).loss;
      };
      const slope = ((await moved(2e-2)) - (await moved(-2e-2))) / 4e-2;
      expect(Math.abs(slope / norm - 1)).toBeLessThan(5e-3);
    }
  } finally {
    await session.close();
  }
}

describe('gradients of attention are the slopes of the loss, within .5 %', () => {
  it.each<[string, Case]>([
    ['GroupQueryAttention', grouped({ pairs: 16, attributes: { local_window_size: int(3) } })],
    ['GroupQueryAttention, packed', grouped({ packed: true, pairs: 8, attributes: { softcap: float(0.7) } })],
    ['GroupQueryAttention, by positions', grouped({ pairs: 16, positions: true, bias: true })],
    ['MultiHeadAttention', multiHead(true, { scale: float(0.4) })],
    ['Attention, heads apart', plain(23, { mask: 'bool', attributes: { softcap: float(0.7) } })],
    ['Attention, heads together', plain(24, { rank: 3, attributes: { is_causal: int(1) } })],
  ])('%s', async (_, each) => {
    await expectSlopes(each);
  });
});
