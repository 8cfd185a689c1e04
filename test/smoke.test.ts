import { describe, expect, it } from '@jest/globals';
import { InferenceSession, Tensor } from 'onnxruntime-node';

/** Y = X + X as ModelProto bytes: IR 8, opset 17, one node, one input and one output of float32 [2]. */
const addModel = (): Uint8Array => {
  const field = (number: number, bytes: readonly number[]): number[] => [(number << 3) | 2, bytes.length, ...bytes];
  const text = (number: number, value: string): number[] => field(number, [...new TextEncoder().encode(value)]);
  const shape = field(2, field(1, [8, 2]));
  const type = field(2, field(1, [8, 1, ...shape]));
  const value = (name: string): number[] => [...text(1, name), ...type];
  const node = [...text(1, 'X'), ...text(1, 'X'), ...text(2, 'Y'), ...text(4, 'Add')];
  const graph = [...field(1, node), ...text(2, 'g'), ...field(11, value('X')), ...field(12, value('Y'))];
  return Uint8Array.from([8, 8, ...field(7, graph), ...field(8, [16, 17])]);
};

describe('the house', () => {
  it('runs a model in ONNX Runtime inside the test environment', async () => {
    const session = await InferenceSession.create(addModel());
    const { Y } = await session.run({ X: new Tensor('float32', Float32Array.of(1, 2.5), [2]) });
    await session.release();
    expect(Y?.data).toEqual(Float32Array.of(2, 5));
  });
});
