/** Speed of a decoder: how fast it reads a prompt and how fast it writes one token after another. */
import { performance } from 'node:perf_hooks';
import { CompilerError } from '../diagnostics.js';
import type { Decoder } from '../runtime/decoder.js';
import { promptFeeds } from '../runtime/feeds.js';
import { generate } from '../runtime/generate.js';

export interface Speed {
  /** Decoding speed where single steps are possible, else prefill speed: the headline number. */
  readonly tokensPerSecond: number;
  /** Tokens of a prompt read per second. */
  readonly prefillTokensPerSecond: number;
  /** Tokens written per second, one at a time at batch 1; absent when the model has no cache or its cached steps fail. */
  readonly decodeTokensPerSecond?: number;
}

const PROMPT = 64;
const STEPS = 18;
/** The first steps are slower: memory is planned and the caches move. */
const WARM_UP = 2;

/** Times a prompt of up to 64 ids of `ids` (the better of two passes) and the median of 16 single steps after it. */
export async function measureSpeed(decoder: Decoder, ids: ArrayLike<number>): Promise<Speed> {
  const prompt = Int32Array.from(ids).subarray(0, PROMPT);
  const seconds = Math.min(await pass(decoder, prompt), await pass(decoder, prompt));
  const prefillTokensPerSecond = prompt.length / seconds;
  const step = decoder.hasCache ? await stepSeconds(decoder, prompt) : undefined;
  if (step === undefined) return { tokensPerSecond: prefillTokensPerSecond, prefillTokensPerSecond };
  return { tokensPerSecond: 1 / step, prefillTokensPerSecond, decodeTokensPerSecond: 1 / step };
}

async function pass(decoder: Decoder, prompt: Int32Array): Promise<number> {
  const start = performance.now();
  await decoder.session.run(promptFeeds(decoder, prompt), [decoder.logits.name]);
  return (performance.now() - start) / 1000;
}

/** Undefined when the runtime refuses a cached step, as it does for some float16 graphs of onnxruntime-genai. */
async function stepSeconds(decoder: Decoder, prompt: Int32Array): Promise<number | undefined> {
  try {
    const { stepSeconds: all } = await generate(decoder, prompt, STEPS + 1);
    const warm = all.slice(WARM_UP).sort((a, b) => a - b);
    return warm[warm.length >> 1];
  } catch (error) {
    if (error instanceof CompilerError) return undefined;
    throw error;
  }
}
