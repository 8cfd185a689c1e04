import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { program } from '../../src/cli/program.js';
import { runHere } from '../support/command-line.js';
import { HOSTILE } from '../support/hostile.js';
import { temporaryFolder } from '../support/paths.js';

const listing = (folder: string): readonly string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

describe('bad input', () => {
  it.each(HOSTILE)(
    '$name is refused with $code, in one sentence, and leaves nothing behind',
    async ({ code, make }) => {
      const parent = temporaryFolder();
      const folder = join(parent, 'case');
      mkdirSync(folder);
      const args = make(folder);
      const before = listing(parent);

      const ran = await runHere([...args, '--quiet', '--json'], program.commands);

      const { error } = JSON.parse(ran.stdout) as { error: { code: string; at: string; remedy: string } };
      expect({ exit: ran.code, code: error.code, stderr: ran.stderr }).toMatchObject({ exit: 2, code });
      expect(ran.stderr).toMatch(/^[^\n]+\.\n$/);
      expect(error.at).not.toBe('');
      expect(error.remedy).not.toBe('');
      expect(listing(parent)).toEqual(before);
      rmSync(parent, { recursive: true });
    },
    30_000,
  );
});
