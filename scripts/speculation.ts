/**
 * Speculative decoding (Leviathan et al. 2023, greedy) with a smaller precision of the same set as the draft: accepted tokens and speed
 * beside decoding with the larger one alone, in one run.
 *
 *   node dist/scripts/speculation.js --tokenizer TOKENIZER.json --text TEXT.jsonl [--tokens 64] [--prompts 8] DRAFT.onnx MODEL.onnx
 *
 * Prompts are the first 32 tokens of documents. The tokens must be those of the larger precision alone; where kernels for one row and for
 * many round differently, texts may part, which is counted.
 */
import { performance } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import { right, table } from '../src/cli/render.js';
import { type Decoder, openDecoder } from '../src/runtime/decoder.js';
import { promptFeeds, stepFeeds, stepFetches } from '../src/runtime/feeds.js';
import { generate, likeliest } from '../src/runtime/generate.js';
import { ortRuntime } from '../src/runtime/ort.js';
import type { HostTensor, Outputs } from '../src/runtime/runtime.js';
import { readWindows } from '../src/text/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    tokenizer: { type: 'string' },
    text: { type: 'string' },
    tokens: { type: 'string', default: '64' },
    prompts: { type: 'string', default: '8' },
  },
});
const [draftPath, modelPath] = positionals;
const { tokenizer, text } = values;
if (draftPath === undefined || modelPath === undefined || tokenizer === undefined || text === undefined)
  throw new TypeError('DRAFT MODEL --tokenizer FILE --text FILE are needed');
const count = Number(values.tokens);
const LENGTH = 32;

/** A decoder, and the outputs of its last run, whose caches hold `length` tokens. */
class Runner {
  readonly decoder: Decoder;
  length = 0;
  #outputs: Outputs = {};

  constructor(decoder: Decoder) {
    this.decoder = decoder;
  }

  /** Runs the prompt. */
  async start(ids: readonly number[]): Promise<number> {
    this.#outputs = await this.decoder.session.run(promptFeeds(this.decoder, ids), stepFetches(this.decoder));
    this.length = ids.length;
    return this.choices().at(-1) as number;
  }

  /** Runs tokens on the caches; gives the likeliest id after each of them. */
  async next(ids: readonly number[]): Promise<readonly number[]> {
    const feeds = stepFeeds(this.decoder, ids, this.length, this.#outputs);
    this.#outputs = await this.decoder.session.run(feeds, stepFetches(this.decoder));
    this.length += ids.length;
    return this.choices();
  }

  /** Forgets the tokens behind the first `length`. */
  crop(length: number): void {
    if (length === this.length) return;
    const cached = this.decoder.caches.map(({ output }) => output as string);
    this.#outputs = Object.fromEntries(
      cached.map((name) => [name, cropped(this.#outputs[name] as HostTensor, this.length, length)]),
    );
    this.length = length;
  }

  private choices(): readonly number[] {
    const { dims, data, dtype } = this.#outputs[this.decoder.logits.name] as HostTensor;
    const [, positions = 0, vocabulary = 0] = dims;
    return Array.from({ length: positions }, (_, at) =>
      likeliest({
        dims: [1, 1, vocabulary],
        data: data.slice(at * vocabulary, (at + 1) * vocabulary),
        dtype,
      } as HostTensor),
    );
  }
}

/** The first `to` of `from` tokens of a cache. */
function cropped(cache: HostTensor, from: number, to: number): HostTensor {
  const axis = cache.dims.lastIndexOf(from);
  const inner = cache.dims.slice(axis + 1).reduce((product, dim) => product * dim, 1);
  const outer = cache.data.length / (from * inner);
  const data = cache.data.slice(0, outer * to * inner) as Float32Array;
  for (let row = 0; row < outer; row++)
    data.set(cache.data.subarray(row * from * inner, (row * from + to) * inner) as Float32Array, row * to * inner);
  return { ...cache, dims: cache.dims.map((dim, at) => (at === axis ? to : dim)), data };
}

/** Tokens of `model` with `ahead` drafts each turn, and how many of the drafts were accepted. */
async function speculate(draft: Runner, model: Runner, prompt: readonly number[], ahead: number) {
  const ids = [await model.start(prompt)];
  await draft.start(prompt);
  let [drafted, accepted] = [0, 0];
  while (ids.length < count) {
    const known = prompt.length + ids.length;
    const pending = [...prompt, ...ids].slice(draft.length);
    const drafts: number[] = [];
    for (let next = pending; drafts.length < ahead; next = [drafts.at(-1) as number])
      drafts.push((await draft.next(next)).at(-1) as number);
    const judged = await model.next([ids.at(-1) as number, ...drafts]);
    const wrong = drafts.findIndex((id, at) => id !== judged[at]);
    const good = wrong < 0 ? ahead : wrong;
    ids.push(...judged.slice(0, good + 1));
    model.crop(known + good);
    draft.crop(Math.min(draft.length, known + good));
    drafted += ahead;
    accepted += good;
  }
  return { ids: ids.slice(0, count), drafted, accepted };
}

const source = { tokenizer, files: [text], jsonlField: 'text', bos: 'auto' } as const;
const limits = { window: LENGTH, limit: Number(values.prompts), vocabulary: undefined };
const prompts = readWindows(source, limits).map((window) => [...window]);
const draft = new Runner(await openDecoder(ortRuntime, draftPath, {}));
const model = new Runner(await openDecoder(ortRuntime, modelPath, {}));

/** Runs all prompts; tokens and seconds. */
async function timed<T>(run: (prompt: readonly number[]) => Promise<T>): Promise<{ results: T[]; seconds: number }> {
  const results: T[] = [];
  const start = performance.now();
  for (const prompt of prompts) results.push(await run(prompt));
  return { results, seconds: (performance.now() - start) / 1000 };
}

const rows: string[][] = [];
const row = (name: string, seconds: number, ...rest: string[]): void => {
  rows.push([name, ((prompts.length * count) / seconds).toFixed(1), ...rest]);
};
await generate(model.decoder, prompts[0] as number[], 8);
const alone = await timed(async (prompt) => (await generate(model.decoder, prompt, count)).ids);
const small = await timed(async (prompt) => (await generate(draft.decoder, prompt, count)).ids);
row('alone', alone.seconds, '', '');
row('draft alone', small.seconds, '', '');
for (const ahead of [1, 2, 3, 4, 6]) {
  const { results, seconds } = await timed((prompt) => speculate(draft, model, prompt, ahead));
  const drafted = results.reduce((sum, each) => sum + each.drafted, 0);
  const accepted = results.reduce((sum, each) => sum + each.accepted, 0);
  const same = results.filter(({ ids }, at) => ids.every((id, step) => id === alone.results[at]?.[step])).length;
  row(`${ahead} ahead`, seconds, `${((100 * accepted) / drafted).toFixed(0)} %`, `${same} of ${prompts.length}`);
}
console.log(table([{ title: 'decoding' }, ...['tokens/s', 'accepted', 'same text'].map(right)], rows));
await draft.decoder.session.close();
await model.decoder.session.close();
