import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { CompilerError } from '../../src/diagnostics.js';
import {
  append,
  captureStatistics,
  compile,
  evaluate,
  evaluateTasks,
  inspect,
  mix,
  report,
  searchLambda,
  slice,
  sweep,
  verify,
} from '../../src/index.js';
import { OPTIONS, type Verb } from '../../src/options/schemas.js';
import { fixture, temporaryFolder } from '../support/paths.js';

const model = fixture('models/mistral-656k/model.onnx');
const best = { preset: 'best' };

type Anything = Readonly<Record<string, unknown>>;
const library = {
  append,
  captureStatistics,
  compile,
  evaluate,
  evaluateTasks,
  inspect,
  mix,
  report,
  searchLambda,
  slice,
  sweep,
  verify,
};

/** What a JavaScript caller can do: pass anything. */
const call = (verb: keyof typeof library, options: unknown): Promise<unknown> =>
  (library[verb] as (options: unknown) => Promise<unknown>)(options);

async function refusal(work: Promise<unknown>): Promise<CompilerError> {
  const error = await work.then(
    () => new Error('accepted'),
    (thrown: unknown) => thrown,
  );
  if (error instanceof CompilerError) return error;
  throw error;
}

let output: string;
beforeAll(() => {
  output = join(temporaryFolder(), 'out');
});

describe('options of compile', () => {
  it.each<[string, Anything]>([
    ['model', { model: undefined }],
    ['model', { model: 5 }],
    ['model', { model: '' }],
    ['output', { output: 'a\0b' }],
    ['name', { name: '' }],
    ['name', { name: '../x' }],
    ['name', { name: 'a\\b' }],
    ['name', { name: '..' }],
    ['name', { name: 'x'.repeat(250) }],
    ['threads', { threads: 0 }],
    ['threads', { threads: -1 }],
    ['threads', { threads: 1.5 }],
    ['threads', { threads: Number.NaN }],
    ['threads', { threads: '2' }],
    ['threads', { threads: 100_000 }],
    ['threads', { threads: Number.POSITIVE_INFINITY }],
    ['memoryBytes', { memoryBytes: Number.NaN }],
    ['memoryBytes', { memoryBytes: -1 }],
    ['memoryBytes', { memoryBytes: 1 }],
    ['memoryBytes', { memoryBytes: null }],
    ['seed', { seed: Number.NaN }],
    ['seed', { seed: -1 }],
    ['work', { work: 5 }],
    ['strict', { strict: 'yes' }],
    ['targetBytes', { targetBytes: 0 }],
    ['text', { text: {} }],
    ['text', { text: { ids: 'a', tokenizer: 'b' } }],
    ['text', { text: { tokenizer: 'a' } }],
    ['text.files[0]', { text: { files: [7], tokenizer: 'b' } }],
    ['text.bos', { text: { files: ['a'], tokenizer: 'b', bos: -1 } }],
    ['text', { recipe: best }],
    ['text', { recipe: {} }],
    ['text', { recipe: { preset: 'best+' }, statistics: ['s'] }],
    ['statistics', { statistics: [] }],
    ['treads', { treads: 2 }],
    ['recipe', { recipe: [] }],
  ])('%s is refused in %j before any work', async (at, change) => {
    const error = await refusal(call('compile', { model, output, ...change }));
    expect(error).toMatchObject({ code: 'bad-usage', at });
    expect(error.message).not.toMatch(/--|expected|received|Invalid/);
    expect(existsSync(output)).toBe(false);
  });

  it('say which presets there are, and what a preset is', async () => {
    expect(await refusal(call('compile', { model, output, recipe: { preset: 'bset' } }))).toMatchObject({
      code: 'recipe',
      message: expect.stringContaining('data-free'),
    });
    expect((await refusal(call('compile', { model, output, recipe: { preset: 5 } }))).code).toBe('recipe');
    expect((await refusal(call('compile', { model, output, recipe: { preset: 'constructor' } }))).code).toBe('recipe');
  });

  it('need only a model and an output; what is undefined is left to its default', async () => {
    const folder = join(temporaryFolder(), 'set');
    const result = await compile({ model, output: folder, threads: undefined, seed: undefined });
    expect(result.recipe.method).toBe('data-free');
    expect(result.files.length).toBeGreaterThan(3);
  });
});

describe('options of the other functions', () => {
  it.each<[keyof typeof library, string, Anything]>([
    ['inspect', 'model', {}],
    ['inspect', 'targetBytes', { model, targetBytes: '1MB' }],
    ['captureStatistics', 'text', { model, output: 'x' }],
    ['captureStatistics', 'text', { model, output: 'x', text: { ids: 'a' }, statistics: ['s'] }],
    ['slice', 'bits', { set: 's', output: 'x', bits: 9 }],
    ['slice', 'slice', { set: 's', output: 'x', bits: 4, slice: 'round' }],
    ['slice', 'slice', { set: 's', output: 'x', bits: 4, slice: 'paper' }],
    ['mix', 'goal', { set: 's' }],
    ['mix', 'goal', { set: 's', goal: {} }],
    ['mix', 'goal', { set: 's', goal: { averageBits: 3, maxKl: 1 } }],
    ['mix', 'goal.averageBits', { set: 's', goal: { averageBits: 99 } }],
    [
      'mix',
      'search.measure.threads',
      { set: 's', goal: { maxKl: 1 }, search: { measure: { text: { ids: 'a' }, threads: 0 } } },
    ],
    ['mix', 'search.bits', { set: 's', goal: { maxKl: 1 }, search: { bits: [4, 4] } }],
    ['sweep', 'search', { set: 's' }],
    ['append', 'from', { set: 's', bits: 4 }],
    ['evaluate', 'text', { reference: 'a', candidates: [] }],
    ['evaluate', 'window', { reference: 'a', text: { ids: 'a' }, window: 1 }],
    ['evaluateTasks', 'tasks', { reference: 'a', tokenizer: 't', tasks: [] }],
    ['verify', 'thresholds', { original: 'a', candidate: 'b', thresholds: {} }],
    ['verify', 'thresholds.minTop1', { original: 'a', candidate: 'b', thresholds: { minTop1: 2 } }],
    ['verify', 'text', { original: 'a', candidate: 'b', thresholds: { maxKl: 2 } }],
    ['report', 'folder', { folder: 5 }],
    ['searchLambda', 'candidates', { model, text: { ids: 'a' }, candidates: [] }],
  ])('%s refuses %s', async (verb, at, options) => {
    const error = await refusal(call(verb, options));
    expect(error).toMatchObject({ code: 'bad-usage', at });
    expect(error.sentence).not.toMatch(/--|expected|received|Invalid/);
  });

  it.each(['compile', 'inspect', 'slice', 'mix', 'evaluate', 'verify', 'report', 'append'] as const)(
    '%s refuses what is no options at all',
    async (verb) => {
      for (const options of [undefined, null, 5, 'model.onnx', []])
        expect(await refusal(call(verb, options))).toMatchObject({ code: 'bad-usage', at: 'options' });
    },
  );

  it('are described, every one', () => {
    for (const verb of Object.keys(OPTIONS) as Verb[]) {
      for (const [name, field] of Object.entries(OPTIONS[verb].shape)) {
        if (['goal', 'thresholds', 'search'].includes(name)) continue;
        const inner = (field as { unwrap?: () => { description?: string } }).unwrap?.();
        expect(`${verb} ${name} ${field.description ?? inner?.description ?? 'is not described'}`).not.toContain(
          'not described',
        );
      }
    }
  });
});
