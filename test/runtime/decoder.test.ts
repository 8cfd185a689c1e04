import { describe, expect, it } from '@jest/globals';
import { fail } from '../../src/diagnostics.js';
import { decoderOf, openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds, stepFeeds, stepFetches } from '../../src/runtime/feeds.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { Outputs } from '../../src/runtime/runtime.js';
import { fakeSession, type Interface } from '../support/fake-session.js';
import { gemma3, mistral } from '../support/stories.js';

const ids: Interface = { input_ids: ['int64', 'batch', 'sequence'], attention_mask: ['int64', 'batch', 'total'] };
const logits: Interface = { logits: ['float32', 'batch', 'sequence', 32] };

describe('openDecoder', () => {
  it('understands an export with caches', async () => {
    const decoder = await openDecoder(ortRuntime, mistral, { threads: 1 });
    expect(decoder.vocabulary).toBe(2048);
    expect(decoder.hasCache).toBe(true);
    expect(decoder.caches.map(({ output, empty }) => [output, empty])).toEqual(
      ['present.0.key', 'present.0.value', 'present.1.key', 'present.1.value'].map((name) => [name, [1, 4, 0, 16]]),
    );
    await decoder.session.close();
  });

  it('understands an export without caches', async () => {
    const decoder = await openDecoder(ortRuntime, gemma3, { threads: 1 });
    expect(decoder.caches).toEqual([]);
    expect(decoder.hasCache).toBe(false);
    await decoder.session.close();
  });
});

describe('decoderOf', () => {
  it('feeds a prompt and then a step', async () => {
    const decoder = await decoderOf(
      fakeSession(
        {
          ...ids,
          position_ids: ['int64', 'batch', 'sequence'],
          'past_key_values.0.key': ['float16', 'batch', 2, 'past', 8],
          use_cache_branch: ['bool', 1],
          num_logits_to_keep: ['int64'],
        },
        { ...logits, 'present.0.key': ['float16', 'batch', 2, 'total', 8] },
      ),
    );
    expect(promptFeeds(decoder, [5, 6, 7])).toEqual({
      input_ids: { dtype: 'int64', dims: [1, 3], data: BigInt64Array.of(5n, 6n, 7n) },
      attention_mask: { dtype: 'int64', dims: [1, 3], data: BigInt64Array.of(1n, 1n, 1n) },
      position_ids: { dtype: 'int64', dims: [1, 3], data: BigInt64Array.of(0n, 1n, 2n) },
      'past_key_values.0.key': { dtype: 'float16', dims: [1, 2, 0, 8], data: new Uint16Array(0) },
      use_cache_branch: { dtype: 'bool', dims: [1], data: Uint8Array.of(0) },
      num_logits_to_keep: { dtype: 'int64', dims: [], data: BigInt64Array.of(3n) },
    });
    expect(stepFetches(decoder)).toEqual(['logits', 'present.0.key']);
    const present = { dtype: 'float16', dims: [1, 2, 3, 8], data: new Uint16Array(48) } as const;
    const outputs: Outputs = { 'present.0.key': present };
    const step = stepFeeds(decoder, 9, 3, outputs);
    expect(step.input_ids?.data).toEqual(BigInt64Array.of(9n));
    expect(step.attention_mask?.dims).toEqual([1, 4]);
    expect(step.position_ids?.data).toEqual(BigInt64Array.of(3n));
    expect(step['past_key_values.0.key']).toBe(present);
    expect(step.use_cache_branch?.data).toEqual(Uint8Array.of(1));
  });

  it('gives a local layer of onnxruntime-genai a buffer of its window', async () => {
    const decoder = await decoderOf(
      fakeSession(
        {
          ...ids,
          'past_key_values.0.key': ['float32', 'batch', 1, 'past_sliding_length', 'kv_cache_dim'],
          'past_key_values.1.key': ['float32', 'batch', 1, 'past_sequence_length', 'kv_cache_dim'],
        },
        {
          ...logits,
          'present.0.key': ['float32', 'batch', 1, 'total_sliding_length', 'kv_cache_dim'],
          'present.1.key': ['float32', 'batch', 1, 'total_sequence_length', 'kv_cache_dim'],
        },
      ),
      { headDim: 16, window: 64 },
    );
    const feeds = promptFeeds(decoder, [1, 2]);
    expect(feeds['past_key_values.0.key']?.dims).toEqual([1, 1, 64, 16]);
    expect(feeds['past_key_values.1.key']?.dims).toEqual([1, 1, 0, 16]);
    expect(feeds.attention_mask?.dims).toEqual([1, 2]);
  });

  it('leaves that buffer empty where the model refuses a filled one', async () => {
    const session = fakeSession(
      { ...ids, 'past_key_values.0.key': ['float32', 'batch', 1, 'past_sliding_length', 16] },
      { ...logits, 'present.0.key': ['float32', 'batch', 1, 'total_sliding_length', 16] },
      (feeds) => (feeds['past_key_values.0.key']?.dims[2] === 0 ? {} : fail('runtime-failed', 'fake', 'no buffer')),
    );
    expect((await decoderOf(session, { window: 64 })).caches[0]?.empty).toEqual([1, 1, 0, 16]);
  });

  it('finds an unstated head width by trying', async () => {
    const session = fakeSession(
      { ...ids, past_key_0: ['float32', 'batch', 1, 'past', 'width'] },
      { ...logits, present_key_0: ['float32', 'batch', 1, 'total', 'width'] },
      ({ past_key_0: cache }) =>
        cache?.dims[3] === 96 ? {} : fail('runtime-failed', 'fake', `width ${cache?.dims[3]}`),
    );
    const decoder = await decoderOf(session);
    expect(decoder.caches[0]?.empty).toEqual([1, 1, 0, 96]);
    const hopeless = fakeSession({ ...ids, past_0: ['float32', 'b', 1, 'p', 'w'] }, logits, () =>
      fail('runtime-failed', 'fake', 'never'),
    );
    await expect(decoderOf(hopeless)).rejects.toMatchObject({ code: 'runtime-failed' });
  });

  it('takes the only output of rank 3 for logits when none has the name', async () => {
    const decoder = await decoderOf(fakeSession(ids, { output_0: ['float32', 1, 'n', 'v'] }));
    expect(decoder.logits.name).toBe('output_0');
    expect(decoder.vocabulary).toBeUndefined();
  });

  const refused: readonly (readonly [string, Interface, Interface])[] = [
    [
      'an input that is neither named nor shaped like any',
      { ...ids, encoder_hidden_states: ['float32', 'b', 'm', 8] },
      logits,
    ],
    ['pictures', { ...ids, pixel_values: ['float32', 'b', 3, 'h', 'w'] }, logits],
    ['vectors of unstated width', { inputs_embeds: ['float32', 'b', 'n', 'w'] }, logits],
    ['no ids', { attention_mask: ['int64', 'b', 'n'] }, logits],
    ['no logits', ids, { last_hidden_state: ['float32', 'b', 'n', 8], other: ['float32', 'b', 'n', 8] }],
    ['a cache of rank 3', { ...ids, past_0: ['float32', 'b', 'n', 8] }, logits],
    ['a cache without a number of heads', { ...ids, past_0: ['float32', 'b', 'h', 'n', 8] }, logits],
  ];
  it.each(refused)('refuses %s', async (_, inputs, outputs) => {
    await expect(decoderOf(fakeSession(inputs, outputs))).rejects.toMatchObject({
      code: 'unsupported-model',
      at: 'fake',
    });
  });

  it('refuses texts of another length than the model was made for, and repeats a text that is taken in batches', async () => {
    const fixed = await decoderOf(fakeSession({ input_ids: ['int64', 1, 4] }, logits));
    expect(promptFeeds(fixed, [1, 2, 3, 4]).input_ids?.dims).toEqual([1, 4]);
    expect(() => promptFeeds(fixed, [1, 2])).toThrow('exactly 4 tokens, not 2');
    const batch = await decoderOf(
      fakeSession({ input_ids: ['int64', 2, 'n'], past_0: ['float32', 2, 3, 'p', 8] }, logits),
    );
    const feeds = promptFeeds(batch, [7, 9]);
    expect(feeds.input_ids).toMatchObject({ dims: [2, 2], data: BigInt64Array.of(7n, 9n, 7n, 9n) });
    expect(feeds.past_0?.dims).toEqual([2, 3, 0, 8]);
  });
});
