import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { ortRuntime, shortened } from '../../src/runtime/ort.js';
import { counts, floats, type HostTensor, integers, withSession, zeros } from '../../src/runtime/runtime.js';
import { temporaryFolder } from '../support/paths.js';
import { gemma3, mistral } from '../support/stories.js';

const text = (ids: readonly number[]) => ({
  input_ids: integers(ids, [1, ids.length]),
  attention_mask: integers(
    ids.map(() => 1),
    [1, ids.length],
  ),
});

describe('ortRuntime', () => {
  it('states names, types and dimensions of inputs and outputs', async () => {
    await withSession(ortRuntime, mistral, { threads: 1 }, async ({ at, inputs, outputs }) => {
      expect(at).toBe(mistral);
      expect(inputs[0]).toEqual({ name: 'input_ids', dtype: 'int64', dims: ['batch_size', 'sequence_length'] });
      expect(inputs).toContainEqual({
        name: 'past_key_values.0.key',
        dtype: 'float32',
        dims: ['batch_size', 4, 'past_sequence_length', 16],
      });
      expect(outputs[0]).toEqual({ name: 'logits', dtype: 'float32', dims: ['batch_size', 'sequence_length', 2048] });
    });
  });

  it('runs a model with external data by path, and gives only what is fetched', async () => {
    await withSession(ortRuntime, gemma3, { threads: 1, optimization: 'basic' }, async (session) => {
      const outputs = await session.run(text([1, 80, 429]), ['logits']);
      expect(Object.keys(outputs)).toEqual(['logits']);
      const logits = outputs.logits as HostTensor;
      expect(logits.dims).toEqual([1, 3, 2048]);
      expect((logits.data as Float32Array).every(Number.isFinite)).toBe(true);
    });
  });

  it('opens bytes as well', async () => {
    await withSession(ortRuntime, new Uint8Array(readFileSync(mistral)), { threads: 1 }, async (session) => {
      expect(session.at).toBe('model');
      expect(session.outputs).toHaveLength(5);
    });
  });

  it('takes an accuracy level as a session option', async () => {
    const session = await ortRuntime.open(mistral, { threads: 1, accuracyLevel: 4 });
    await session.close();
    await expect(ortRuntime.open(mistral, { accuracyLevel: Number.NaN })).rejects.toMatchObject({
      code: 'runtime-failed',
    });
  });

  it('fails with a code and the path', async () => {
    const folder = temporaryFolder();
    const broken = join(folder, 'broken.onnx');
    writeFileSync(broken, 'not a model');
    await expect(ortRuntime.open(join(folder, 'none.onnx'))).rejects.toMatchObject({ code: 'file-missing' });
    await expect(ortRuntime.open(broken)).rejects.toMatchObject({ code: 'runtime-failed', at: broken });
  });

  it('fails when a run lacks an input or comes after close', async () => {
    const session = await ortRuntime.open(mistral, { threads: 1 });
    await expect(session.run({})).rejects.toMatchObject({ code: 'runtime-failed', at: mistral });
    await session.close();
    await session.close();
    await expect(session.run({})).rejects.toMatchObject({ code: 'runtime-failed', message: 'The session is closed' });
  });
});

describe('shortened', () => {
  it('drops source places, signatures and later lines', () => {
    const long =
      'Exception during initialization: /onnxruntime_src/include/onnxruntime/core/common/parse_string.h:126 T ' +
      'onnxruntime::ParseStringWithClassicLocale(std::string_view) [with T = long int; std::string_view = ' +
      'std::basic_string_view<char>] Failed to parse value\nstack';
    expect(shortened(long)).toBe('Exception during initialization: Failed to parse value');
    expect(shortened('x'.repeat(1000))).toHaveLength(301);
    expect(shortened('')).toBe('no reason given');
  });
});

describe('tensors', () => {
  it('are made by type', () => {
    expect(floats(Float32Array.of(1, 2)).dims).toEqual([2]);
    expect(integers([1, -2], [1, 2]).data).toEqual(BigInt64Array.of(1n, -2n));
    expect(zeros('float16', [2, 3])).toEqual({ dtype: 'float16', dims: [2, 3], data: new Uint16Array(6) });
    expect(zeros('string', [1])).toBeUndefined();
    expect(counts('int32', [3], [1])?.data).toEqual(Int32Array.of(3));
    expect(counts('bool', [1], [1])?.data).toEqual(Uint8Array.of(1));
    expect(counts('float16', [1], [1])).toBeUndefined();
  });
});
