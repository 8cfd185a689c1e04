/** Text of any length: little of it makes no precision worse than none does, and enough of it is all that counts. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { openStatistics } from '../../src/capture/statistics-files.js';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe, presetOf, type RecipeInput } from '../../src/recipe/recipe.js';
import { captureStatistics } from '../../src/solve/capture-statistics.js';
import { measure, measureText } from '../../src/solve/measure.js';
import { recipeForLittleText } from '../../src/solve/text-evidence.js';
import { openSource } from '../../src/source/source.js';
import { COMPILE } from '../support/compile.js';
import { listening } from '../support/listening.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, stories, writeIds } from '../support/stories.js';

const MACHINE = { threads: 2, memoryBytes: 2e9 };

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const tokenizer = fixture('models/mistral-656k/tokenizer.json');
const held = writeIds(join(root, 'held.jsonl'), heldWindows(3));
const BITS = [8, 6, 4, 3, 2] as const;
const recipeOf = (more: RecipeInput = {}): ReturnType<typeof parseRecipe> =>
  parseRecipe({ block: 32, ...more }, 'test');
const fileOf = (
  name: string,
  text: string,
): { files: string[]; tokenizer: string; jsonlField: string; bos: 'auto' } => {
  writeFileSync(join(root, name), text);
  return { files: [join(root, name)], tokenizer, jsonlField: 'text', bos: 'auto' };
};
const story = stories()[0] ?? '';
const sentence = fileOf('sentence.txt', story.slice(0, 100));

interface Made extends CompileResult {
  readonly kl: readonly number[];
}

const made = async (name: string, recipe: RecipeInput, more: object = {}, context = silentContext()): Promise<Made> => {
  const output = join(root, name);
  const result = await compile({ ...COMPILE, model: mistral, output, recipe: recipeOf(recipe), ...more }, context);
  const bits = [...result.recipe.bits].sort((a, b) => b - a);
  const scored = await evaluate(
    {
      reference: mistral,
      candidates: bits.map((each) => join(output, `m_int${each}.onnx`)),
      text: { ids: held },
      window: 256,
      threads: 2,
      speed: false,
    },
    silentContext(),
  );
  return { ...result, kl: scored.candidates.map(({ kl }) => kl as number) };
};

describe('little text', () => {
  let free: Made;
  let little: Made | undefined;
  beforeAll(async () => {
    free = await made('free', { method: 'data-free' });
  });
  /** Faults were 10 to 20,000 times as large at int8, and 3 to 20 times at int2. */
  const expectNoWorse = ({ kl }: Made): void => {
    for (const [at, bits] of BITS.entries())
      expect({ bits, ratio: (kl[at] as number) / (free.kl[at] as number) < 1.5 }).toEqual({ bits, ratio: true });
  };

  it('of one sentence makes no precision worse than no text, and says how much is missing', async () => {
    const context = listening();
    const { said } = context;
    const result = await made('sentence', {}, { text: sentence }, context);
    little = result;
    expectNoWorse(result);
    expect(result.calibration).toMatchObject({ widest: 384, needed: { contexts: 3072, ids: 512 }, isLittle: true });
    expect(result.calibration?.textWeight).toBeLessThan(0.05);
    expect(said.join('\n')).toMatch(/calibration tokens with \d+ different contexts .* \(384 inputs\) needs 3072/);
    const manifest = JSON.parse(readFileSync(join(root, 'sentence/m.json'), 'utf8'));
    expect(manifest.provenance.calibration).toMatchObject({ needed: { contexts: 3072 }, isLittle: true });
  });

  it.each([
    ['one character', 'a'.repeat(20_000)],
    ['one sentence many times', `${story.slice(0, 33)}. `.repeat(600)],
  ])('of %s is not taken for more than it is', async (name, text) => {
    expectNoWorse(await made(name, {}, { text: fileOf(`${name}.txt`, text) }));
  });

  it('is filled up from captured statistics too, and folders hold what the text gave', async () => {
    const folder = join(root, 'statistics');
    const recipe = recipeOf();
    const options = { recipe, text: sentence, threads: 2, memoryBytes: 2e9, seed: 0 };
    const { evidence } = await captureStatistics({ ...options, model: mistral, output: folder }, silentContext());
    expect(evidence).toMatchObject({ isLittle: true, widest: 384 });
    const { header } = await openStatistics(folder);
    const plain = await measureText(openSource(mistral, recipe), { ...options, machine: MACHINE }, silentContext());
    expect(header.digest).toBe(plain.captured?.statistics.header.digest);
    const byStatistics = await made('by-statistics', {}, { statistics: [folder] });
    expect(byStatistics.kl).toEqual(little?.kl);
  });

  it('ruins neither whole models nor plain GPTQ', async () => {
    const [gptq, whole] = [presetOf('baseline-gptq'), presetOf('deploy-int8')];
    for (const [name, preset] of Object.entries({ gptq, whole })) {
      const { kl } = await made(name, preset, { text: sentence });
      const { kl: without } = await made(`${name}-free`, { ...preset, method: 'data-free' });
      expect((kl[0] as number) / (without[0] as number)).toBeLessThan(2);
    }
  });

  it('goes with random ids into what is learnt from activations themselves', async () => {
    const source = openSource(mistral, recipeOf());
    const options = { text: sentence, machine: MACHINE, seed: 0 };
    const prefix = await measure(source, { ...options, recipe: recipeOf({ prefix: {} }) }, silentContext());
    expect(prefix.windows.length).toBe(65);
    const trained = recipeOf({ method: 'omniquant', bits: [4], decode: 'tied', tables: 'fp16' });
    expect((await measure(source, { ...options, recipe: trained }, silentContext())).windows.length).toBe(65);
  });
});

describe('enough text', () => {
  it('counts alone: statistics, windows and recipe are those of the text', async () => {
    const recipe = recipeOf();
    const source = openSource(mistral, recipe);
    const text = { ids: writeIds(join(root, 'enough.jsonl'), heldWindows(40)) };
    const options = { recipe, text, machine: MACHINE, seed: 0 };
    const { captured, text: read } = await measureText(source, options, silentContext());
    const found = await measure(source, options, silentContext());
    expect(found.evidence).toMatchObject({ textWeight: 1, isLittle: false });
    expect(found.recipe).toBe(recipe);
    expect(found.windows).toEqual(read.windows);
    expect(found.statistics?.header).toEqual(captured?.statistics.header);
    const group = found.statistics?.groups[0] ?? '';
    expect(await found.statistics?.load(group)).toEqual(await captured?.statistics.load(group));
  });
});

describe('recipeForLittleText', () => {
  it('is that of sets without text, but for weights that were chosen', () => {
    expect(recipeForLittleText(recipeOf())).toMatchObject({ range: 'minmax', rounds: 1, lambda: 4, damping: 0.1 });
    expect(recipeForLittleText(recipeOf(presetOf('best-int2')))).toMatchObject({ range: 'minmax', lambda: 1.5 });
    const baseline = recipeOf({ ...presetOf('baseline-matgptq') });
    expect(recipeForLittleText(baseline)).toBe(baseline);
  });
});

describe('what the check scores', () => {
  const scored = async (recipe: RecipeInput, text: object | undefined, more: object = {}): Promise<unknown> => {
    const whole = recipeOf(recipe);
    const options = { recipe: whole, machine: MACHINE, seed: 0, ...(text && { text }), ...more };
    const { probe, windows } = await measure(openSource(mistral, whole), options as never, silentContext());
    const learnt = windows.map((window) => window.join());
    const own = probe.windows.some((window) => learnt.some((each) => each.startsWith(window.join())));
    return { scored: probe.scored, own, windows: probe.windows.length };
  };
  const many = fileOf('many.txt', stories().slice(0, 12).join('\n'));
  const random = { scored: 'random ids', own: false, windows: 2 };

  it('is text behind the calibration windows, or what is left behind the last one', async () => {
    const behind = { scored: 'held-out text', own: false };
    expect(await scored({ tokens: 512, window: 128 }, many)).toEqual({ ...behind, windows: 2 });
    expect(await scored({ window: 200 }, many)).toEqual({ ...behind, windows: 1 });
  });

  it('is random ids that nothing was fitted to where no text is left', async () => {
    expect(await scored({}, sentence)).toEqual(random);
    expect(await scored({ method: 'data-free' }, undefined)).toEqual(random);
  });

  it('is the text itself where nothing is learnt from it, and said to be calibration text where all of it may be', async () => {
    expect(await scored({ method: 'rtn', decode: 'tied' }, many)).toMatchObject({ scored: 'held-out text' });
    expect(await scored({ distill: {}, window: 128 }, many)).toMatchObject({ scored: 'calibration text', own: true });
  });
});

describe('no text', () => {
  it('is refused for methods that learn from it', async () => {
    const asked = { ...COMPILE, model: mistral, output: join(root, 'none'), recipe: recipeOf() };
    await expect(compile(asked, silentContext())).rejects.toMatchObject({ code: 'bad-usage', at: 'text' });
    const capture = {
      model: mistral,
      output: join(root, 'none'),
      recipe: recipeOf(),
      threads: 1,
      memoryBytes: 2e9,
      seed: 0,
    };
    await expect(captureStatistics(capture, silentContext())).rejects.toMatchObject({
      code: 'bad-usage',
      at: 'text',
    });
  });
});

describe('the first token of windows', () => {
  it('is said where the tokenizer names none', async () => {
    const plain = join(root, 'no-bos');
    const parsed = JSON.parse(readFileSync(tokenizer, 'utf8'));
    const path = `${plain}.tokenizer.json`;
    const renamed = JSON.stringify({ ...parsed, post_processor: null }).replaceAll('"<s>"', '"<first>"');
    writeFileSync(path, renamed);
    const context = listening();
    const { said } = context;
    const recipe = recipeOf();
    const text = { ...sentence, tokenizer: path };
    const options = { recipe, text, machine: MACHINE, seed: 0 };
    await measureText(openSource(mistral, recipe), options, context);
    expect(said).toEqual([expect.stringContaining('no beginning-of-sequence token')]);
  });
});
