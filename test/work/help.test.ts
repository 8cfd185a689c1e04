/** Shares of a plan whose other shares nobody runs. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { plan, planStatus, readPlan, work } from '../../src/work/index.js';
import { temporaryFolder } from '../support/paths.js';
import { gemma3, heldWindows, writeIds } from '../support/stories.js';

const folder = temporaryFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const planned = join(folder, 'plan');

beforeAll(async () => {
  const ids = writeIds(
    join(folder, 'ids.jsonl'),
    heldWindows(8).map((window) => window.slice(0, 32)),
  );
  const recipe = { method: 'gptq', bits: [8, 4], block: 32, rounds: 1, sweeps: 0, tokens: 128 } as const;
  await plan({ model: gemma3, recipe, text: { ids }, shards: 2, threads: 1, output: planned });
});

describe('a share', () => {
  const run = (unit: string) => work({ plan: planned, unit, threads: 1, pollSeconds: 0.05 });
  const ids = (kind: string): readonly string[] =>
    readPlan(planned).units.flatMap((each) => (each.kind === kind ? [each.id] : []));

  it('that waits for units that nobody runs takes them too, and no others', async () => {
    const { ran, done, units } = await run('1/2');
    expect(done).toBe(units);
    const names = ran.map(({ unit }) => unit);
    expect(names).toEqual(expect.arrayContaining([...ids('capture')]));
    expect(names.filter((name) => name.startsWith('solve'))).toHaveLength(Math.ceil(ids('solve').length / 2));
  });

  it('may be ids, joined by commas', async () => {
    const left = ids('solve').filter((_, at) => at % 2 === 0);
    const { ran } = await run(left.join(','));
    expect(ran.map(({ unit }) => unit).sort()).toEqual([...left].sort());
    expect((await planStatus({ plan: planned })).waiting).toBe(1);
    await expect(run('solve-none')).rejects.toMatchObject({ code: 'plan' });
  });
});
