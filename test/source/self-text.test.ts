import { copyFileSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import { createRandom } from '../../src/random.js';
import { floats } from '../../src/runtime/runtime.js';
import { drawn, writeSelfText } from '../../src/source/self-text.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { gemma3, mistral } from '../support/stories.js';

const root = temporaryFolder();
const context = silentContext();
afterAll(() => rmSync(root, { recursive: true }));

it('draws ids as often as softmax says', () => {
  const random = createRandom(7);
  const logits = floats(Float32Array.of(9, 9, 9, Math.log(1), Math.log(6), Math.log(3)), [1, 2, 3]);
  const counts = [0, 0, 0];
  for (let draw = 0; draw < 10_000; draw++) {
    const id = drawn(logits, random);
    counts[id] = (counts[id] ?? 0) + 1;
  }
  const [a = 0, b = 0, c = 0] = counts;
  expect(a).toBeGreaterThan(0);
  expect(b).toBeGreaterThan(1.5 * c);
  expect(c).toBeGreaterThan(2 * a);
});

describe('text that the model writes', () => {
  const options = { model: mistral, bos: 'auto', tokens: 96, window: 32, seed: 3, threads: 1 } as const;
  const write = async (name: string, more: object = {}): Promise<string> => {
    await writeSelfText(join(root, name), { ...options, ...more }, context);
    return readFileSync(join(root, name), 'utf8');
  };

  it('is as many windows as were asked for, the same for a seed, another for another', async () => {
    const text = await write('a');
    const windows = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as number[]);
    expect(windows.map(({ length }) => length)).toEqual([32, 32, 32]);
    expect(windows.map(([first]) => first)).toEqual([1, 1, 1]);
    expect(await write('b')).toBe(text);
    expect(await write('c', { seed: 4 })).not.toBe(text);
  });

  it('is refused for a model without caches', async () => {
    await expect(write('d', { model: gemma3 })).rejects.toMatchObject({ code: 'unsupported-model' });
  });

  it('calibrates a set, whose manifest says so', async () => {
    const recipe = { preset: 'best', tokens: 256, window: 32, bits: [8, 4] } as const;
    const output = join(root, 'set');
    await compile({ model: mistral, output, recipe, text: { files: ['self'] }, threads: 2 }, context);
    const { provenance } = JSON.parse(readFileSync(join(output, 'model.json'), 'utf8'));
    expect(provenance.text).toMatchObject({ source: 'self', sha256: [expect.stringMatching(/^[0-9a-f]{64}$/)] });
    expect(provenance.text.tokens).toBeGreaterThanOrEqual(256);
  });
});

describe('a tokenizer that nobody names', () => {
  const text = { files: [fixture('text/stories-excerpt.txt')] };
  const recipe = { preset: 'best', tokens: 256, window: 32, bits: [8, 4] } as const;

  it('is the one beside the model', async () => {
    await compile(
      { model: fixture('models/mistral-656k'), output: join(root, 'beside'), recipe, text, threads: 2 },
      context,
    );
    const { provenance } = JSON.parse(readFileSync(join(root, 'beside/model.json'), 'utf8'));
    expect(provenance.text.source).toBe('files');
  });

  it('is missed where there is none', async () => {
    mkdirSync(join(root, 'alone'));
    copyFileSync(mistral, join(root, 'alone/model.onnx'));
    const work = compile({ model: join(root, 'alone'), recipe, text }, context);
    await expect(work).rejects.toMatchObject({ code: 'tokenizer-missing' });
  });
});
