import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { isAbandoned, ownerTag } from '../../src/files/owner.js';
import { removeLeftovers, stagedName } from '../../src/files/temporary.js';
import { root, temporaryFolder } from '../support/paths.js';

/** A child that leaves a temporary folder and a staged file, and waits. */
const leaving = (folder: string): ReturnType<typeof spawn> => {
  const code = `
    const { temporaryFolder, stagedName } = await import('${root}dist/src/files/temporary.js');
    const { writeFileSync } = await import('node:fs');
    writeFileSync(temporaryFolder('segments', '${folder}') + '/weights.bin', 'x');
    writeFileSync(stagedName('${folder}/out'), 'x');
    console.log('ready');
    setInterval(() => {}, 1000);`;
  return spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] });
};

/** A process looks through a folder once; another one looks anew. */
const lookAgain = async (folder: string): Promise<void> => {
  const code = `(await import('${root}dist/src/files/temporary.js')).removeLeftovers('${folder}')`;
  await once(spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'inherit' }), 'close');
};

describe('what a killed process leaves', () => {
  it('is kept while the process lives, and removed by the next one afterwards', async () => {
    const folder = temporaryFolder();
    const child = leaving(folder);
    await once(child.stdout as NodeJS.ReadableStream, 'data');
    writeFileSync(join(folder, '.out.1234.abcdef01.tmp'), 'of somebody else');
    mkdirSync(join(folder, 'matquant-notes'));
    await lookAgain(folder);
    expect(readdirSync(folder)).toHaveLength(4);
    child.kill('SIGKILL');
    await once(child, 'close');
    await lookAgain(folder);
    expect(readdirSync(folder).sort()).toEqual(['.out.1234.abcdef01.tmp', 'matquant-notes']);
  });

  it('is kept when it may be of another machine, and removed when the process id belongs to a later process', () => {
    const [, machine = '', id = ''] = /^(mq\w+)-(\d+)-\d+$/.exec(ownerTag()) ?? [];
    expect(isAbandoned(ownerTag())).toBe(false);
    expect(isAbandoned(`${machine}-${id}-0`)).toBe(false);
    expect(isAbandoned('mq00000000-999999999-5')).toBe(false);
    expect(isAbandoned(`${machine}-999999999-5`)).toBe(true);
    if (process.platform === 'linux') expect(isAbandoned(`${machine}-${id}-5`)).toBe(true);
  });

  it('does not stop a folder that is not there, and names stay short', () => {
    const folder = join(temporaryFolder(), 'none');
    removeLeftovers(folder);
    const name = stagedName(join(folder, 'x'.repeat(250)));
    expect(name.slice(folder.length + 1).length).toBeLessThan(140);
    rmSync(folder, { recursive: true, force: true });
  });
});
