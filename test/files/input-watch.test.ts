import { spawnSync } from 'node:child_process';
import { chmodSync, renameSync, rmSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { settledState } from '../../src/files/file-state.js';
import { InputWatch } from '../../src/files/input-watch.js';
import { temporaryFolder } from '../support/paths.js';

/** Small files are digested at once, large ones by a thread. */
const SIZES = [1000, 9 << 20];

const problemOf = async (watch: InputWatch): Promise<string> =>
  watch.check().then(
    () => 'none',
    (error: unknown) => (error as { code: string }).code,
  );

const CHANGES: Record<string, (path: string, bytes: number) => void> = {
  'overwritten in place': (path, bytes) => writeFileSync(path, Buffer.alloc(bytes, 2), { flag: 'r+' }),
  'overwritten, and its times set back': (path, bytes) => {
    const { atime, mtime } = statSync(path);
    writeFileSync(path, Buffer.alloc(bytes, 2), { flag: 'r+' });
    utimesSync(path, atime, mtime);
  },
  replaced: (path, bytes) => {
    writeFileSync(`${path}.new`, Buffer.alloc(bytes, 1));
    renameSync(`${path}.new`, path);
  },
  'cut short': (path, bytes) => truncateSync(path, bytes - 1),
  removed: (path) => rmSync(path),
};

describe.each(SIZES)('an input of %d bytes', (bytes) => {
  const made = (): string => {
    const path = join(temporaryFolder(), 'input');
    writeFileSync(path, Buffer.alloc(bytes, 1));
    return path;
  };

  it.each(Object.keys(CHANGES))('%s at once or after it was digested is an error', async (name) => {
    for (const isLate of [false, true]) {
      const path = made();
      const watch = new InputWatch();
      watch.add(path);
      if (isLate) await watch.digests([path]);
      CHANGES[name]?.(path, bytes);
      expect(await problemOf(watch)).toBe('input-changed');
      watch.close();
    }
  });

  it('has a digest where a process waits for nothing else, and keeps no process alive afterwards', () => {
    const path = made();
    const program = `
      import { InputWatch } from ${JSON.stringify(new URL('../../src/files/input-watch.js', import.meta.url).href)};
      const watch = new InputWatch();
      watch.add(${JSON.stringify(path)});
      console.log((await watch.digests([${JSON.stringify(path)}]))[0].bytes);`;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    expect([run.status, run.stdout.trim()]).toEqual([0, String(bytes)]);
  });

  it('that stays has its digest, also after other permissions', async () => {
    const path = made();
    const watch = new InputWatch();
    watch.add(path);
    watch.add(join(path, 'none'));
    const [digest] = await watch.digests([path, 'none']);
    chmodSync(path, 0o600);
    expect(await problemOf(watch)).toBe('none');
    expect(watch.problem()).toBeUndefined();
    expect(digest).toMatchObject({ path, bytes, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    watch.close();
  });
});

describe('the state of a file', () => {
  it('differs after a write that follows at once', () => {
    const path = join(temporaryFolder(), 'input');
    for (let i = 0; i < 20; i++) {
      writeFileSync(path, 'a');
      const before = settledState(path);
      writeFileSync(path, 'b');
      expect(settledState(path)?.contents).not.toBe(before?.contents);
    }
  });

  it('is none for what is no file', () => {
    expect(settledState(temporaryFolder())).toBeUndefined();
    expect(settledState('/dev/null')).toBeUndefined();
  });
});
