/** The last line of `npm test` and of `.ci/run`: what it counts, and that none is passed over. */
import { spawnSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, describe, expect, it } from '@jest/globals';
import { root, temporaryFolder } from '../support/paths.js';

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}
const { countTests, summaryOf } = (await import(pathToFileURL(join(root, 'scripts/test-counts.mjs')).href)) as {
  countTests(results: object): Counts;
  summaryOf(counts: Counts): string;
};

describe('the counts of a run', () => {
  const results = { numPassedTests: 7, numFailedTests: 2, numRuntimeErrorTestSuites: 1 };

  it('have pending and todo tests as skipped, and a suite that cannot be loaded as failed', () => {
    expect(countTests({ ...results, numPendingTests: 3, numTodoTests: 1 })).toEqual({
      passed: 7,
      failed: 3,
      skipped: 4,
    });
  });

  it('name skipped tests only where there are some', () => {
    expect(summaryOf({ passed: 7, failed: 0, skipped: 0 })).toBe('7 passed, 0 failed');
    expect(summaryOf({ passed: 7, failed: 3, skipped: 4 })).toBe('7 passed, 3 failed, 4 skipped');
  });
});

describe('.ci/run', () => {
  const folder = temporaryFolder();
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Runs it over an `npm` that prints `text` and exits with `code`. */
  function run(text: string, code: number): { readonly lines: readonly string[]; readonly status: number | null } {
    writeFileSync(join(folder, 'npm'), `#!/bin/sh\ncat <<'END'\n${text}\nEND\nexit ${code}\n`);
    chmodSync(join(folder, 'npm'), 0o755);
    const env = { ...process.env, PATH: `${folder}${delimiter}${process.env['PATH']}` };
    const { stdout, status } = spawnSync('bash', [join(root, '.ci/run')], { env, encoding: 'utf8' });
    return { lines: stdout.trimEnd().split('\n'), status };
  }

  it.each([
    ['7 passed, 0 failed', 0],
    ['7 passed, 1 failed', 1],
    ['7 passed, 0 failed, 2 skipped', 0],
  ])('ends with %s', (summary, code) => {
    const { lines, status } = run(`# summary\n${summary}\nnpm notice`, code);
    expect(lines.at(-1)).toBe(summary);
    expect(status).toBe(code);
  });

  it('fails and says so where nothing was printed', () => {
    const { lines, status } = run('7 passed', 0);
    expect(lines.slice(-2)).toEqual(['npm test printed no summary.', '0 passed, 1 failed']);
    expect(status).toBe(1);
  });
});
