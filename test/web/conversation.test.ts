/** Feeds, sampling and ends of generated text, with a session that writes down what it is fed. */
import { afterEach, describe, expect, it } from '@jest/globals';
import {
  Conversation,
  type InputLike,
  noStore,
  openNested,
  type SessionLike,
  type TensorLike,
} from '../../src/web/index.js';
import { serve, stopServing } from '../support/web-set.js';

afterEach(stopServing);

class Tensor implements TensorLike {
  readonly type: string;
  readonly data: unknown;
  readonly dims: readonly number[];

  constructor(type: string, data: unknown, dims: readonly number[]) {
    this.type = type;
    this.data = data;
    this.dims = dims;
  }
}

const INPUTS: readonly InputLike[] = [
  { name: 'input_ids', type: 'int64', shape: ['batch', 'tokens'] },
  { name: 'attention_mask', type: 'int64', shape: ['batch', 'all'] },
  { name: 'position_ids', type: 'int32', shape: ['batch', 'tokens'] },
  { name: 'use_cache_branch', type: 'bool', shape: [1] },
  { name: 'num_logits_to_keep', type: 'int64', shape: [] },
  { name: 'past_key_values.0.key', type: 'float16', shape: ['batch', 2, 'past', 4] },
];

const VOCABULARY = 6;

/** A conversation with a model whose most likely id is the last one plus 1; `fed` has the feeds of every run. */
async function talk(inputs = INPUTS, row?: readonly number[], type = 'float32') {
  const fed: Record<string, Tensor>[] = [];
  const session: SessionLike<Tensor> = {
    inputNames: inputs.map(({ name }) => name),
    outputNames: ['logits', 'present.0.key'],
    inputMetadata: inputs,
    async run(feeds) {
      fed.push({ ...feeds });
      const ids = [...((feeds['input_ids'] as Tensor).data as BigInt64Array)].map(Number);
      const rows = ids.flatMap((id) => row ?? Array.from({ length: VOCABULARY }, (_, at) => (at === id + 1 ? 5 : 0)));
      const data = type === 'float16' ? Uint16Array.from(rows) : Float32Array.from(rows);
      return {
        logits: new Tensor(type, data, [1, ids.length, VOCABULARY]),
        'present.0.key': new Tensor('float16', fed.length, []),
      };
    },
    release: async () => undefined,
  };
  const ort = { InferenceSession: { create: async () => session } };
  const model = await openNested<Tensor>(await serve(), { ort, store: noStore });
  return { conversation: new Conversation(model, Tensor as never), fed };
}

async function collect(ids: AsyncIterable<number>): Promise<number[]> {
  const found: number[] = [];
  for await (const id of ids) found.push(id);
  return found;
}

const plain = (feeds: Record<string, Tensor> | undefined): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(feeds ?? {}).map(([name, { type, data, dims }]) => [
      name,
      [type, typeof data === 'object' ? [...(data as Uint8Array)].map(Number) : data, dims],
    ]),
  );

describe('a conversation', () => {
  it('feeds a prompt and then one id after the other on the cache that came back', async () => {
    const { conversation, fed } = await talk();
    expect(await collect(conversation.generate([0, 1], { maxTokens: 2 }))).toEqual([2, 3]);
    expect(plain(fed[0])).toEqual({
      input_ids: ['int64', [0, 1], [1, 2]],
      attention_mask: ['int64', [1, 1], [1, 2]],
      position_ids: ['int32', [0, 1], [1, 2]],
      use_cache_branch: ['bool', [0], [1]],
      num_logits_to_keep: ['int64', [1], []],
      'past_key_values.0.key': ['float16', [], [1, 2, 0, 4]],
    });
    expect(plain(fed[1])).toEqual({
      input_ids: ['int64', [2], [1, 1]],
      attention_mask: ['int64', [1, 1, 1], [1, 3]],
      position_ids: ['int32', [2], [1, 1]],
      use_cache_branch: ['bool', [1], [1]],
      num_logits_to_keep: ['int64', [1], []],
      'past_key_values.0.key': ['float16', 1, []],
    });
    expect(conversation.length).toBe(3);
  });

  it('goes on with the id that was given out last and the next prompt', async () => {
    const { conversation, fed } = await talk();
    await collect(conversation.generate([0], { maxTokens: 1 }));
    expect(await collect(conversation.generate([3], { maxTokens: 1 }))).toEqual([4]);
    expect(plain(fed[1])).toMatchObject({
      input_ids: ['int64', [1, 3], [1, 2]],
      position_ids: ['int32', [1, 2], [1, 2]],
    });
  });

  it('ends at an id that stops, and at an abort', async () => {
    const { conversation } = await talk();
    expect(await collect(conversation.generate([0], { stop: [3] }))).toEqual([1, 2]);
    await expect(collect(conversation.generate([0], { signal: AbortSignal.abort() }))).rejects.toThrow('abort');
  });

  it('draws among the most likely ids by their probabilities', async () => {
    const logits = [0, Math.log(3), -50, 0, 9, 9].map((value, at) => (at > 3 ? -9 : value));
    const draws = [0.1, 0.59, 0.61, 0.79, 0.81, 0.99];
    const found: number[] = [];
    for (const draw of draws) {
      const { conversation } = await talk(INPUTS, logits);
      found.push(
        ...(await collect(conversation.generate([0], { maxTokens: 1, temperature: 1, topK: 3, random: () => draw }))),
      );
      await stopServing();
    }
    expect(found).toEqual([1, 1, 0, 0, 3, 3]);
  });

  it('reads float16 logits, bit patterns where the browser has no such array', async () => {
    // 1, -2, 0.5, 2^-24, 65504, infinity.
    const { conversation } = await talk(INPUTS, [0x3c00, 0xc000, 0x3800, 1, 0x7bff, 0x7c00], 'float16');
    const logits = await conversation.feed([0]);
    expect([...logits]).toEqual([1, -2, 0.5, 2 ** -24, 65504, Number.POSITIVE_INFINITY]);
  });

  it('names inputs that it cannot feed', async () => {
    const { conversation } = await talk([...INPUTS, { name: 'pixel_values', type: 'float32', shape: [1] }]);
    await expect(conversation.feed([0])).rejects.toMatchObject({
      code: 'inputs',
      message: 'There is no way to feed the input pixel_values',
    });
    await stopServing();
    const open = await talk([{ name: 'past_key_values.0.key', type: 'float32', shape: ['a', 'b', 'c', 'd'] }]);
    await expect(open.conversation.feed([0])).rejects.toThrow(
      'The shape of the cache past_key_values.0.key is not known',
    );
  });
});
