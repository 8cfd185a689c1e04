/** The harness of faults: judging a run, damaging files, and the hook that kills at a rename. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type Ran, runNode } from '../../scripts/faults/command.js';
import { DAMAGES, temporaries } from '../../scripts/faults/folders.js';
import { all, fault, judge, mustRefuse, RIGHT, refused, silent, spread } from '../../scripts/faults/verdict.js';
import { root, temporaryFolder } from '../support/paths.js';

const ran = (code: number | null, stderr = ''): Ran => ({
  code,
  signal: undefined,
  stdout: '',
  stderr,
  seconds: 0,
  peakBytes: 0,
  ended: false,
});
const REFUSAL = ran(2, 'no such file [file-missing] at x; check the path.\n');

describe('a run is judged', () => {
  it('right when it is refused with a code or gives the sound result', () => {
    expect(judge(REFUSAL, () => false)).toEqual(RIGHT);
    expect(judge(ran(0), () => true)).toEqual(RIGHT);
    expect(mustRefuse(REFUSAL)).toEqual(RIGHT);
  });

  it('silently wrong when it ends well with another result', () => {
    expect(judge(ran(0), () => false).how).toBe('silent');
    expect(mustRefuse(ran(0)).how).toBe('silent');
  });

  it('at fault when it crashes or refuses without a code', () => {
    expect(judge(ran(1, 'This is a bug'), () => true).how).toBe('fault');
    expect(judge(ran(null), () => true).how).toBe('fault');
    expect(refused(ran(2, 'no'))).toBe(false);
  });

  it('by the first verdict that is not right', () => {
    expect(all(RIGHT, silent('a'), fault('b'))).toEqual(silent('a'));
    expect(all(RIGHT, RIGHT)).toEqual(RIGHT);
  });
});

describe('damage', () => {
  const bytes = Uint8Array.from({ length: 1000 }, (_, at) => at & 255);

  it('of a bit changes one byte', () => {
    for (const at of spread(20)) {
      const made = DAMAGES.flip(bytes, at);
      expect(made.filter((byte, index) => byte !== bytes[index])).toHaveLength(1);
    }
  });

  it('of other kinds changes length or contents', () => {
    expect(DAMAGES.cut(bytes, 0.5)).toHaveLength(500);
    expect(DAMAGES.empty(bytes, 0.5)).toHaveLength(0);
    expect(
      DAMAGES.zeros(bytes, 0.5)
        .slice(500)
        .every((byte) => byte === 0),
    ).toBe(true);
    expect(DAMAGES.garbage(bytes, 0)).not.toEqual(bytes);
  });
});

describe('the hook', () => {
  const program = (folder: string): string => `
    import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs';
    import { rename } from 'node:fs/promises';
    const at = (name) => ${JSON.stringify(`${folder}/`)} + name;
    for (const name of ['a', 'b']) writeFileSync(at(name + '.tmp'), name);
    const open = openSync(at('a.tmp'), 'r+'); fsyncSync(open); closeSync(open);
    renameSync(at('a.tmp'), at('a'));
    await rename(at('b.tmp'), at('b'));
    process.exit(0);`;
  const hook = `--require ${join(root, 'scripts/faults/hook.cjs')}`;

  it.each([
    ['1:before', ['a.tmp', 'b.tmp']],
    ['2:before', ['a.tmp', 'b.tmp']],
    ['2:after', ['a', 'b.tmp']],
    ['3:before', ['a', 'b.tmp']],
    ['3:after', ['a', 'b']],
  ])('kills at %s', async (instant, files) => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'program.mjs'), program(folder));
    const env = { NODE_OPTIONS: hook, FAULT: instant };
    const ended = await runNode([join(folder, 'program.mjs')], { temporary: folder, env });
    expect(ended.signal).toBe('SIGKILL');
    expect(['a', 'b', 'a.tmp', 'b.tmp'].filter((name) => existsSync(join(folder, name))).sort()).toEqual(files);
    expect([...temporaries(folder)].sort()).toEqual(files.filter((name) => name.endsWith('.tmp')));
  });

  it('lists the calls and lets the program end', async () => {
    const folder = temporaryFolder();
    const log = join(folder, 'log');
    writeFileSync(join(folder, 'program.mjs'), program(folder));
    const env = { NODE_OPTIONS: hook, FAULT_LOG: log };
    expect((await runNode([join(folder, 'program.mjs')], { temporary: folder, env })).code).toBe(0);
    const names = readFileSync(log, 'utf8')
      .trim()
      .split('\n')
      .map((line) => line.split(' ')[1]);
    expect(names).toEqual(['fsyncSync', 'renameSync', 'rename']);
  });
});
