import { describe, expect, it } from '@jest/globals';
import { float16ToFloat32 } from '../../src/onnx/ir/half.js';
import { decoderOf } from '../../src/runtime/decoder.js';
import { promptFeeds, stepFeeds } from '../../src/runtime/feeds.js';
import { rolesOf } from '../../src/runtime/input-roles.js';
import { tokenVectors } from '../../src/runtime/token-vectors.js';
import { fakeSession, type Interface } from '../support/fake-session.js';

const logits: Interface = { logits: ['float32', 'b', 'n', 32] };
const ids: Interface = { input_ids: ['int64', 'b', 'n'] };

const rolesIn = (inputs: Interface, outputs: Interface = {}): Record<string, string> => {
  const { inputs: ports, outputs: made } = fakeSession(inputs, { ...logits, ...outputs });
  return Object.fromEntries([...rolesOf(ports, made)].map(([name, each]) => [name, each.role ?? 'none']));
};

describe('rolesOf', () => {
  it.each([
    ['k_cache_0', 'k_cache_0_out', ['b', 2, 'past', 16]],
    ['cache.3.value', 'updated.3.value', ['b', 'past', 2, 16]],
    ['kv', 'kv_next', [2, 'b', 2, 'past', 16]],
    ['layer_7_conv_in', 'layer_7_conv_out', ['b', 64, 3]],
  ] as const)('takes %s for a cache because %s is of its kind', (input, output, dims) => {
    expect(rolesIn({ ...ids, [input]: ['float32', ...dims] }, { [output]: ['float32', ...dims] })).toEqual({
      input_ids: 'ids',
      [input]: 'cache',
    });
    expect(rolesIn({ ...ids, [input]: ['float32', ...dims] }, { [output]: ['float16', ...dims] })[input]).toBe('none');
  });

  it('pairs caches of one kind with outputs of other names in their order', () => {
    const side = (names: string): Interface =>
      Object.fromEntries(names.split(' ').map((name) => [name, ['float32', 'b', 2, 'past', 16] as const]));
    const { inputs, outputs } = fakeSession({ ...ids, ...side('a b c') }, { ...logits, ...side('x y z') });
    const pairs = [...rolesOf(inputs, outputs)].map(([name, each]) => [
      name,
      'output' in each ? each.output : undefined,
    ]);
    expect(pairs).toEqual([
      ['input_ids', undefined],
      ['a', 'x'],
      ['b', 'y'],
      ['c', 'z'],
    ]);
  });

  it('takes float tensors of a width for each token for vectors', () => {
    const inputs: Interface = {
      inputs_embeds: ['float32', 'b', 'n', 64],
      per_layer_inputs: ['float32', 'b', 'n', 30, 8],
      side_input: ['float16', 'b', 'n', 12],
      pixel_values: ['float32', 'b', 3, 'h', 'w'],
      encoder_hidden_states: ['float32', 'b', 'm', 64],
    };
    expect(rolesIn(inputs)).toEqual({
      inputs_embeds: 'vectors',
      per_layer_inputs: 'vectors',
      side_input: 'vectors',
      pixel_values: 'none',
      encoder_hidden_states: 'none',
    });
  });

  it('finds ids and vectors of another name when nothing else can be meant', () => {
    expect(rolesIn({ x: ['int32', 'b', 'n'] })).toEqual({ x: 'ids' });
    expect(rolesIn({ x: ['float32', 'b', 'n', 8], mask: ['int64', 'b', 'n'] })).toEqual({ x: 'vectors', mask: 'mask' });
    expect(rolesIn({ x: ['int32', 'b', 'n'], y: ['int32', 'b', 'n'] })).toEqual({ x: 'none', y: 'none' });
  });
});

describe('values', () => {
  it('feeds lengths, planes of positions and masks of which token sees which, at a prompt and at a step', async () => {
    const decoder = await decoderOf(
      fakeSession(
        {
          ...ids,
          position_ids: ['int64', 3, 'b', 'n'],
          past_sequence_length: ['int64'],
          total_sequence_length: ['int32', 1],
          seqlens_k: ['int32', 'b'],
          attention_mask: ['float32', 'b', 1, 'n', 't'],
          sliding_window_mask: ['bool', 'b', 1, 'n', 't'],
        },
        logits,
      ),
      { window: 2 },
    );
    const values = (feeds: ReturnType<typeof promptFeeds>) =>
      Object.fromEntries(Object.entries(feeds).map(([name, { dims, data }]) => [name, [dims, [...data].map(Number)]]));
    expect(values(promptFeeds(decoder, [7, 8, 9]))).toEqual({
      input_ids: [
        [1, 3],
        [7, 8, 9],
      ],
      position_ids: [
        [3, 1, 3],
        [0, 1, 2, 0, 1, 2, 0, 1, 2],
      ],
      past_sequence_length: [[], [0]],
      total_sequence_length: [[1], [3]],
      seqlens_k: [[1], [2]],
      attention_mask: [
        [1, 1, 3, 3],
        [0, -1e4, -1e4, 0, 0, -1e4, 0, 0, 0],
      ],
      sliding_window_mask: [
        [1, 1, 3, 3],
        [1, 0, 0, 1, 1, 0, 0, 1, 1],
      ],
    });
    const step = values(stepFeeds(decoder, 5, 3, {}));
    expect(step.sliding_window_mask).toEqual([
      [1, 1, 1, 4],
      [0, 0, 1, 1],
    ]);
    expect([step.past_sequence_length, step.total_sequence_length]).toEqual([
      [[], [3]],
      [[1], [4]],
    ]);
  });

  it('feeds a cache whose length comes before its heads', async () => {
    const cache: Interface = { c: ['float32', 'b', 'past', 2, 16] };
    const decoder = await decoderOf(
      fakeSession({ ...ids, ...cache }, { ...logits, c_out: ['float32', 'b', 't', 2, 16] }),
    );
    expect(promptFeeds(decoder, [1, 2]).c?.dims).toEqual([1, 0, 2, 16]);
    expect(decoder.hasCache).toBe(true);
  });
});

describe('tokenVectors', () => {
  const port = { name: 'inputs_embeds', dtype: 'float32', dims: ['b', 'n', 512] } as const;
  const rows = (dtype: 'float32' | 'float16' | 'bfloat16', ...windows: number[][]) =>
    tokenVectors(port, dtype, { windows, length: windows[0]?.length ?? 0 });

  it('gives an id one vector wherever it stands, other ids and inputs others, of mean 0 and deviation 1', () => {
    const { data, dims } = rows('float32', [3, 4], [9, 3]) as { data: Float32Array; dims: readonly number[] };
    expect(dims).toEqual([2, 2, 512]);
    const row = (at: number): Float32Array => data.subarray(512 * at, 512 * (at + 1));
    expect(row(3)).toEqual(row(0));
    expect(row(1)).not.toEqual(row(0));
    expect(tokenVectors({ ...port, name: 'other' }, 'float32', { windows: [[3]], length: 1 })?.data).not.toEqual(
      row(0),
    );
    const mean = data.reduce((sum, value) => sum + value, 0) / data.length;
    const power = data.reduce((sum, value) => sum + value * value, 0) / data.length;
    expect(Math.abs(mean)).toBeLessThan(0.2);
    expect(power).toBeGreaterThan(0.7);
    expect(power).toBeLessThan(1.4);
  });

  it('gives the same numbers in half precision', () => {
    const exact = rows('float32', [1, 2, 300])?.data as Float32Array;
    expect(float16ToFloat32(rows('float16', [1, 2, 300])?.data as Uint16Array)).toEqual(exact);
    const upper = rows('bfloat16', [1, 2, 300])?.data as Uint16Array;
    expect(new Float32Array(Uint32Array.from(upper, (bits) => bits << 16).buffer)).toEqual(exact);
  });
});
