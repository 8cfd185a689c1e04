import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { evalCommand } from '../../src/cli/commands/eval.js';
import { evaluateTasks, type TaskScore } from '../../src/evaluate/evaluate-tasks.js';
import { silentContext } from '../../src/log.js';
import { runHere } from '../support/command-line.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { mistral } from '../support/stories.js';

const tokenizer = fixture('models/mistral-656k/tokenizer.json');
const gemma = fixture('models/gemma3-tiny/model.onnx');

const run = (...args: readonly string[]): ReturnType<typeof runHere> =>
  runHere(['eval', ...args, '--threads', '1', '--quiet'], [evalCommand]);

/** The questions that PyTorch answered, as a file. */
function questions(name = 'stories.jsonl'): string {
  const path = join(temporaryFolder(), name);
  const { items } = JSON.parse(readFileSync(fixture('report/task-likelihoods.json'), 'utf8')) as { items: unknown[] };
  writeFileSync(path, items.map((item) => JSON.stringify(item)).join('\n'));
  return path;
}

describe('eval --task', () => {
  it('answers with every model, and says how often it agrees with the reference', async () => {
    const { code, stdout } = await run(
      mistral,
      mistral,
      gemma,
      '--task',
      questions(),
      '--tokenizer',
      tokenizer,
      '--json',
    );
    expect(code).toBe(0);
    const { tasks, ...rest } = JSON.parse(stdout) as { readonly tasks: readonly TaskScore[] };
    expect(rest).toEqual({});
    expect(tasks.map(({ task, path, items }) => [task, path, items])).toEqual([
      ['stories', mistral, 7],
      ['stories', mistral, 7],
      ['stories', gemma, 7],
    ]);
    const [reference, same, other] = tasks as [TaskScore, TaskScore, TaskScore];
    expect(same).toEqual(reference);
    expect(reference).toMatchObject({ agreement: 1, accuracy: 6 / 7 });
    const agreeing = other.choices.filter((choice, at) => choice === reference.choices[at]).length;
    expect(other.agreement).toBe(agreeing / 7);
  });

  it('counts progress over all models and tasks', async () => {
    const done: number[] = [];
    const context = {
      ...silentContext(),
      progress: { update: (update: { done: number }) => void done.push(update.done) },
    };
    const tasks = [questions('a.jsonl'), questions('b.jsonl')];
    const options = { reference: mistral, candidates: [mistral], tasks, tokenizer, bos: 'auto', threads: 1 } as const;
    await evaluateTasks(options, context);
    expect(done).toEqual(Array.from({ length: 28 }, (_, at) => at + 1));
  });

  it('takes the first questions, and text in the same run', async () => {
    const ids = join(temporaryFolder(), 'ids.jsonl');
    writeFileSync(ids, '[1,5,6,7,8]\n');
    const asked = ['--task', questions(), '--tokenizer', tokenizer, '--limit', '3'];
    const { stdout } = await run(mistral, ...asked, '--ids', ids, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ reference: { positions: 4 }, candidates: [], tasks: [{ items: 3 }] });
    expect((await run(mistral, ...asked)).stdout).toMatch(
      /^task +model +questions +accuracy +normalized +as the reference\nstories +\S+ +3 +66\.7 ± 33\.3 %/,
    );
  });

  it.each([
    ['--limit', ['--task', 'a.jsonl', '--tokenizer', tokenizer, '--limit', '0']],
    ['a.jsonl', ['--task', 'a.jsonl', '--tokenizer', tokenizer]],
    ['x/a.jsonl', ['--task', 'a.jsonl', '--task', 'x/a.jsonl', '--tokenizer', tokenizer]],
  ])('complains about %s', async (at, args) => {
    const { code, stderr } = await run(mistral, ...args);
    expect({ code, said: stderr.includes(at) }).toEqual({ code: 2, said: true });
  });
});
