import { describe, expect, it } from '@jest/globals';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds } from '../../src/runtime/feeds.js';
import { generate } from '../../src/runtime/generate.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { HostTensor } from '../../src/runtime/runtime.js';
import { gemma3, heldWindows, mistral, storyTokenizer } from '../support/stories.js';

describe('generate', () => {
  it('continues as passes over the whole text would, 64 tokens', async () => {
    const decoder = await openDecoder(ortRuntime, mistral, { threads: 1 });
    const prompt = (heldWindows(1)[0] as Int32Array).subarray(0, 20);
    const { ids, stepSeconds } = await generate(decoder, prompt, 64);
    expect(ids).toHaveLength(64);
    expect(stepSeconds).toHaveLength(63);
    const text = [...prompt];
    for (const id of ids) {
      const { logits } = await decoder.session.run(promptFeeds(decoder, text), ['logits']);
      const last = ((logits as HostTensor).data as Float32Array).slice(-2048);
      expect(last.indexOf(Math.max(...last))).toBe(id);
      text.push(id);
    }
    expect(storyTokenizer().decode(text)).toMatch(/^.*(Once upon a time|One day)/);
    await decoder.session.close();
  });

  it('refuses a model without caches', async () => {
    const decoder = await openDecoder(ortRuntime, gemma3, { threads: 1 });
    await expect(generate(decoder, [1, 2], 3)).rejects.toMatchObject({ code: 'unsupported-model' });
    await decoder.session.close();
  });
});
