/** The verbs of a plan on the command line. */
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it, jest } from '@jest/globals';
import { mergeCommand } from '../../src/cli/commands/merge.js';
import { planCommand } from '../../src/cli/commands/plan.js';
import { statusCommand } from '../../src/cli/commands/status.js';
import { workerCommand } from '../../src/cli/commands/worker.js';
import { type Ran, runHere } from '../support/command-line.js';
import { temporaryFolder } from '../support/paths.js';
import { writeWindows } from '../support/plans.js';
import { mistral } from '../support/stories.js';

jest.setTimeout(60_000);

const root = temporaryFolder();
const [folder, out] = [join(root, 'plan'), join(root, 'out')];
const ids = writeWindows(join(root, 'ids.jsonl'));
afterAll(() => rmSync(root, { recursive: true }));

const run = (...args: readonly string[]): Promise<Ran> =>
  runHere(args, [planCommand, workerCommand, statusCommand, mergeCommand]);

const flags = ['--ids', ids, '--bits', '8,2', '--block', '64', '--window', '64', '--tokens', '576', '--shards', '3'];

it('plans, works, shows how far it is, and merges', async () => {
  const refused = await run('plan', mistral, '-o', folder, ...flags, '--memory', '100MB');
  expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/needs \d+MB, but --memory is 100MB/) });
  const planned = await run('plan', mistral, '-o', folder, ...flags);
  expect(planned).toMatchObject({ code: 0, stdout: expect.stringMatching(/capture +3 [\s\S]*matquant worker/) });
  const once = await run('worker', folder, '--once', '--threads', '2');
  expect(once).toMatchObject({ code: 0, stdout: expect.stringContaining('1 unit run') });
  const status = await run('status', folder, '--json');
  expect(JSON.parse(status.stdout)).toMatchObject({ total: 9, done: 1, waiting: 8, unitsPerHour: expect.any(Number) });
  const early = await run('merge', folder, '-o', out);
  expect(early).toMatchObject({ code: 2, stderr: expect.stringContaining('7 of 8 units are not done') });
  expect(existsSync(out)).toBe(false);
  expect((await run('worker', folder, '--unit', '9/8')).stderr).toContain('[bad-usage] at --unit');
  expect((await run('worker', folder, '--poll', '0')).stderr).toContain('[bad-usage] at --poll');
  expect(await run('worker', folder, '--threads', '2', '--poll', '0.1')).toMatchObject({ code: 0 });
  const watched = await run('status', folder, '--watch');
  expect(watched.stdout).toMatch(/All units are done; matquant merge/);
  expect(await run('merge', folder, '-o', out, '--threads', '2')).toMatchObject({ code: 0 });
  expect(existsSync(join(out, 'model.json'))).toBe(true);
});
