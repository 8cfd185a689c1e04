/**
 * Calibration text that the float model writes itself, without network: LLM-QAT (Liu et al. 2023, arXiv 2305.17888, section 3.1). A
 * document begins with a random token, goes on with the likeliest ones for a few steps, and then with tokens drawn from the model's
 * distribution at temperature 1. Documents end with the model's own token for it and are joined as those of a text file are.
 */
import { writeFileSync } from 'node:fs';
import type { Context } from '../log.js';
import { float16ToFloat32 } from '../onnx/ir/half.js';
import { createRandom, type Random } from '../random.js';
import { openDecoder } from '../runtime/decoder.js';
import { type Choose, generate, likeliest } from '../runtime/generate.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import type { HostTensor } from '../runtime/runtime.js';

export interface SelfTextOptions {
  /** ONNX file of the float model; it must give its caches out. */
  readonly model: string;
  /** First token of every window and document: what the model's configuration says, none, or an id. */
  readonly bos: 'auto' | 'none' | number;
  /** Tokens to write, and tokens in a window. */
  readonly tokens: number;
  readonly window: number;
  readonly seed: number;
  readonly threads: number;
}

/** Steps that take the likeliest token after the random one; the paper takes 3 to 5. */
const GREEDY = 4;

/** Writes windows of token ids, one JSON array a line. Fails with `unsupported-model` where the model has no cache to decode with. */
export async function writeSelfText(path: string, options: SelfTextOptions, context: Context): Promise<void> {
  const { model, tokens, window, seed, threads } = options;
  const hints = readHints(model);
  const first = options.bos === 'auto' ? hints.bos : options.bos;
  const start = typeof first === 'number' ? [first] : [];
  const size = window - start.length;
  const wanted = Math.ceil(tokens / window);
  const decoder = await openDecoder(ortRuntime, model, { threads });
  try {
    const random = createRandom(seed).fork('self-written text');
    const ids: number[] = [];
    while (ids.length < wanted * size) {
      context.signal.throwIfAborted();
      context.progress.update({ stage: 'self-written text', done: ids.length, total: wanted * size });
      const seedToken = random.integer(decoder.vocabulary ?? VOCABULARY);
      const choose: Choose = (logits, step) => (step < GREEDY ? likeliest(logits) : drawn(logits, random));
      const isEnd = (id: number): boolean => hints.eos?.includes(id) ?? false;
      const { ids: written } = await generate(decoder, [...start, seedToken], size - 1, { choose, isEnd });
      ids.push(seedToken, ...written);
    }
    const lines = Array.from({ length: wanted }, (_, at) =>
      JSON.stringify([...start, ...ids.slice(at * size, (at + 1) * size)]),
    );
    writeFileSync(path, `${lines.join('\n')}\n`);
  } finally {
    await decoder.session.close();
  }
}

/** Ids below this are in every vocabulary; used where the model does not say how large its own is. */
const VOCABULARY = 1000;

/** An id drawn with the probabilities softmax(logits) at the last position of [1, n, vocabulary]. */
export function drawn({ dims, data, dtype }: HostTensor, random: Random): number {
  const last = data.subarray(data.length - (dims.at(-1) as number));
  const logits = dtype === 'float16' ? float16ToFloat32(last as Uint16Array) : (last as Float32Array);
  let largest = -Infinity;
  for (const logit of logits) largest = Math.max(largest, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  let left = random.uniform() * sum;
  for (let id = 0; id < logits.length; id++) {
    left -= Math.exp((logits[id] as number) - largest);
    if (left < 0) return id;
  }
  return logits.length - 1;
}
