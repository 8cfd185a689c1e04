import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { readTask, type TaskItem } from '../../src/evaluate/task-items.js';
import { evaluateTask, idsOf, likelihoodsOf } from '../../src/evaluate/tasks.js';
import { KernelPool } from '../../src/kernels/pool.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { mistral, stories, storyTokenizer } from '../support/stories.js';

const fileWith = (...lines: readonly string[]): string => {
  const path = join(temporaryFolder(), 'task.jsonl');
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
};

describe('readTask', () => {
  it('reads questions, plain continuations and alternative contexts', () => {
    const path = fileWith(
      '{"query":"Question: Why?\\n","choices":["So.","No."],"gold":1}',
      '{"query":"It rained, therefore","choices":["it was wet.","it was dry."],"gold":0}',
      '{"context_options":["Ann thanked Bo so Ann","Ann thanked Bo so Bo"],"continuation":"smiled.","gold":1}',
    );
    expect(readTask(path)).toEqual([
      {
        answers: [
          { context: 'Question: Why?\nAnswer:', ending: ' So.' },
          { context: 'Question: Why?\nAnswer:', ending: ' No.' },
        ],
        gold: 1,
      },
      {
        answers: [
          { context: 'It rained, therefore', ending: ' it was wet.' },
          { context: 'It rained, therefore', ending: ' it was dry.' },
        ],
        gold: 0,
      },
      {
        answers: [
          { context: 'Ann thanked Bo so Ann', ending: ' smiled.' },
          { context: 'Ann thanked Bo so Bo', ending: ' smiled.' },
        ],
        gold: 1,
      },
    ]);
  });

  it.each([
    ['{"query":"Why?","choices":["So."],"gold":0}'],
    ['{"query":"Why?","choices":["So.","No."],"gold":2}'],
    ['{"query":"Why?","choices":["So.",1],"gold":0}'],
    ['[1]'],
    ['null'],
    ['why'],
  ])('refuses %s', (line) => {
    const path = fileWith('', line);
    expect(() => readTask(path)).toThrow(expect.objectContaining({ code: 'bad-usage', at: `${path}:2` }));
  });

  it('refuses an empty file', () => {
    expect(() => readTask(fileWith(''))).toThrow(expect.objectContaining({ code: 'empty-text' }));
  });
});

describe('idsOf', () => {
  it('tokenizes as a whole and finds where the ending begins', () => {
    const tokenizer = storyTokenizer();
    const { ids, from } = idsOf('Once upon a time', ' there was a cat.', tokenizer, 1);
    expect(ids[0]).toBe(1);
    expect([...ids].slice(1)).toEqual(tokenizer.encode('Once upon a time there was a cat.'));
    // This tokenizer joins a blank to the letter before it, so that the last token of the context changes.
    expect(tokenizer.decode([...ids].slice(from))).toBe('e there was a cat.');
  });

  it('counts a token that context and ending share to the ending', () => {
    const tokenizer = {
      path: '',
      bos: undefined,
      decode: () => '',
      encode: (text: string) => text.match(/ab|./g)?.map((part) => part.charCodeAt(0) + 1000 * (part.length - 1)) ?? [],
    };
    expect(idsOf('xa', 'bc', tokenizer, undefined)).toEqual({ ids: Int32Array.of(120, 1097, 99), from: 1 });
    expect(idsOf('', 'xy', tokenizer, undefined).from).toBe(1);
  });
});

describe('evaluateTask', () => {
  it('finds the likelihoods that PyTorch finds, and the accuracies that follow from them', async () => {
    const { items: lines, likelihoods } = JSON.parse(readFileSync(fixture('report/task-likelihoods.json'), 'utf8')) as {
      readonly items: readonly { readonly gold: number }[];
      readonly likelihoods: readonly (readonly number[])[];
    };
    const items = readTask(fileWith(...lines.map((line) => JSON.stringify(line))));
    const decoder = await openDecoder(ortRuntime, mistral, { threads: 1 });
    const pool = new KernelPool(1);
    const options = { decoder, pool, tokenizer: storyTokenizer(), bos: 1 };
    for (const [index, item] of items.entries()) {
      const found = await likelihoodsOf(item, options);
      expect(found.length).toBe(likelihoods[index]?.length);
      found.forEach((value, at) => expect(value).toBeCloseTo(likelihoods[index]?.[at] as number, 3));
    }
    const chosen = likelihoods.map((values) => values.indexOf(Math.max(...values)));
    const right = chosen.filter((choice, index) => choice === items[index]?.gold).length / items.length;
    const result = await evaluateTask({ ...options, items });
    expect(result).toMatchObject({ choices: chosen, accuracy: right });
    expect(result.accuracyStandardError).toBeCloseTo(Math.sqrt((right * (1 - right)) / (items.length - 1)), 12);
    await pool.close();
    await decoder.session.close();
  });

  it('prefers how stories go on to their words in another order', async () => {
    const items: readonly TaskItem[] = stories()
      .slice(-12)
      .map((story, index) => {
        const words = story.split(/\s+/).slice(0, 40);
        const [start, rest] = [words.slice(0, 20).join(' '), words.slice(20)];
        const endings = [` ${rest.join(' ')}`, ` ${[...rest].reverse().join(' ')}`];
        const gold = index % 2;
        return {
          answers: (gold === 0 ? endings : endings.reverse()).map((ending) => ({ context: start, ending })),
          gold,
        };
      });
    const decoder = await openDecoder(ortRuntime, mistral, { threads: 1 });
    const pool = new KernelPool(1);
    const result = await evaluateTask({ decoder, pool, tokenizer: storyTokenizer(), bos: 1, items });
    expect(result).toEqual({
      items: 12,
      accuracy: 1,
      accuracyStandardError: 0,
      normalizedAccuracy: 1,
      normalizedAccuracyStandardError: 0,
      choices: items.map(({ gold }) => gold),
    });
    const wrong = items.map((item) => ({ ...item, gold: 1 - item.gold }));
    expect(await evaluateTask({ decoder, pool, tokenizer: storyTokenizer(), bos: 1, items: wrong })).toMatchObject({
      accuracy: 0,
    });
    await pool.close();
    await decoder.session.close();
  });
});
