/** Models of IR versions that the runtime does not know yet. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { exportModel, modelBytes } from '../../src/onnx/convert/export.js';
import type { Model } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { highestIr, withIr } from '../../src/runtime/newest-ir.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { floats, withSession } from '../../src/runtime/runtime.js';
import { temporaryFolder } from '../support/paths.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

function sample(): Model {
  const b = new GraphBuilder({ opset: 17, irVersion: 99 });
  const x = b.input('x', 'float32', [512]);
  const y = b.op('Add', [x, b.constant(float32s(new Float32Array(512).fill(2)), 'two')]);
  b.output(y, 'y', { dtype: 'float32', shape: [512] });
  return b.model();
}

const first = (model: string | Uint8Array): Promise<unknown> =>
  withSession(ortRuntime, model, { threads: 1 }, async (session) => {
    const { y } = await session.run({ x: floats(new Float32Array(512).fill(1)) });
    return y?.data[0];
  });

it('opens them from memory, and from a file with its external data', async () => {
  expect(await first(modelBytes(sample()))).toBe(3);
  const { path, data } = exportModel(sample(), join(root, 'new.onnx'));
  expect(data).toBeDefined();
  expect(await first(path)).toBe(3);
});

it('reads the highest version off a refusal, and nothing off other errors', () => {
  expect(highestIr(new Error('Unsupported model IR version: 14, max supported IR version: 13'))).toBe(13);
  expect(highestIr(new Error('Protobuf parsing failed.'))).toBeUndefined();
});

it('writes a version behind the message', () => {
  expect([...withIr(Uint8Array.of(0x08, 99), 13)]).toEqual([0x08, 99, 0x08, 13]);
});
