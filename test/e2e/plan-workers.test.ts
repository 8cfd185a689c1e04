/** Workers of a plan as processes: killed, interrupted, on a full disk. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { namesIn } from '../../src/files/listed-files.js';
import { mergePlan } from '../../src/work/merge.js';
import { plan } from '../../src/work/plan.js';
import { planStatus } from '../../src/work/status.js';
import { filesBelow } from '../support/damage.js';
import { root as project, temporaryFolder } from '../support/paths.js';
import { copyPlan, doneIn, planned, snapshot, writeWindows } from '../support/plans.js';
import { until } from '../support/until.js';

jest.setTimeout(180_000);

const root = temporaryFolder();
const at = (name: string): string => join(root, name);
const ids = writeWindows(at('ids.jsonl'));
const fresh = at('fresh');
const MAIN = join(project, 'dist/src/cli/main.js');
let folders = 0;

beforeAll(async () => {
  await plan({ ...planned(ids), output: fresh });
});
afterAll(() => rmSync(root, { recursive: true }));

const copyOf = (): string => {
  const folder = at(`plan-${folders++}`);
  copyPlan(fresh, folder);
  return folder;
};

const argumentsOf = (folder: string): readonly string[] => [MAIN, 'worker', folder, '--threads', '1', '--poll', '0.1'];

const start = (folder: string): ChildProcess =>
  spawn(process.execPath, argumentsOf(folder), { stdio: ['ignore', 'pipe', 'pipe'] });

/** Done when a unit is claimed, or when the worker has ended. */
const claimed = (folder: string, child: ChildProcess): Promise<boolean> =>
  until('a claim', () => child.exitCode !== null || namesIn(join(folder, 'claims')).length > 0, 5);

const temporaries = (folder: string): readonly string[] => filesBelow(folder, /\.tmp(\/|$)|matquant-[a-z]+-mq/);

describe('workers that are killed', () => {
  it('lose nothing that was done, and the set is that of a compilation', async () => {
    const folder = copyOf();
    let before: Readonly<Record<string, number>> = {};
    for (const delay of [0, 150, 400]) {
      const children = [start(folder), start(folder)];
      await claimed(folder, children[0] as ChildProcess);
      await sleep(delay);
      for (const child of children) child.kill('SIGKILL');
      await Promise.all(children.map((child) => child.exitCode ?? child.signalCode ?? once(child, 'close')));
      const after = doneIn(folder);
      expect(after).toMatchObject(before);
      before = after;
    }
    const ended = [start(folder), start(folder)].map(async (child) => (await once(child, 'close'))[0] as number);
    expect(await Promise.all(ended)).toEqual([0, 0]);
    expect(doneIn(folder)).toMatchObject(before);
    expect(await planStatus({ plan: folder })).toMatchObject({ done: 9, running: 0, failed: 0, lostUnits: [] });
    // Two workers at three times had a unit each, which others took over.
    expect(filesBelow(join(folder, 'lost'), /\.txt$/).length).toBeGreaterThan(0);
    await compile({ ...planned(ids), output: at('compiled') });
    await mergePlan({ plan: folder, output: at('merged'), threads: 2 });
    expect(snapshot(at('merged'))).toEqual(snapshot(at('compiled')));
    expect(temporaries(folder)).toEqual([]);
  });
});

describe('an interrupt', () => {
  it.each([1, 2])(
    'that comes %d times ends a worker with 130 and leaves neither claims nor half results',
    async (times) => {
      const folder = copyOf();
      const child = start(folder);
      let stdout = '';
      child.stdout?.setEncoding('utf8').on('data', (text: string) => {
        stdout += text;
      });
      await claimed(folder, child);
      child.kill('SIGINT');
      if (times === 2) setTimeout(() => child.kill('SIGINT'), 30);
      const [code] = (await once(child, 'close')) as [number | null];
      expect(code).toBe(130);
      // The first one lets the unit end; what it says is what is there.
      const ran = Number(/^Interrupted\. (\d+) units? run/.exec(stdout)?.[1]);
      if (times === 1) expect(ran).toBeGreaterThan(0);
      if (times === 1) expect(Object.keys(doneIn(folder)).length).toBe(ran);
      expect(readdirSync(join(folder, 'claims'))).toEqual([]);
      expect(filesBelow(folder, /\.tmp$/)).toEqual([]);
    },
  );
});

const onLinux = process.platform === 'linux' ? it : it.skip;

describe('a full disk', () => {
  onLinux('ends a worker with one sentence, and its unit is run when there is room', async () => {
    const folder = copyOf();
    const env = {
      ...process.env,
      NODE_OPTIONS: `--require ${join(project, 'scripts/faults/full-disk.cjs')}`,
      FULL_DISK: 'statistics-1-of-3|claims/capture-2',
    };
    for (const unit of ['capture-1', 'capture-2']) {
      const args = [...argumentsOf(folder), '--unit', unit, '--quiet'];
      const { status, stderr } = spawnSync(process.execPath, args, { env, encoding: 'utf8' });
      expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/^[^\n]*\[disk-full\][^\n]*\n$/) });
    }
    expect(doneIn(folder)).toEqual({});
    expect([
      (await planStatus({ plan: folder })).failedUnits,
      readdirSync(join(folder, 'claims')),
      temporaries(folder),
    ]).toEqual([[], [], []]);
    expect(spawnSync(process.execPath, [...argumentsOf(folder), '--unit', 'capture-1']).status).toBe(0);
    expect(Object.keys(doneIn(folder))).toEqual(['capture-1']);
  });
});
