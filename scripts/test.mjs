/**
 * Runs every check in order: installation, build and types, format and lint, smoke test, all other tests, some of them
 * under smaller instruction sets, short forms of fuzz and faults, size budget.
 * A check that fails does not stop those behind it, unless they cannot run without it. Each stage counts as one check and each
 * test as one more; the last line is the sum. Plain Node, so that it runs in a fresh clone.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from './build.mjs';
import { ensureInstalled, root, run } from './install.mjs';
import { shortForm } from './portability.mjs';
import { countTests, summaryOf } from './test-counts.mjs';

const bin = (path) => join(root, 'node_modules', path);
const scratch = mkdtempSync(join(tmpdir(), 'matquant-run-'));
const smoke = 'smoke\\.test\\.js$';
const rows = [];

/** Runs one stage and notes how it went. `work` returns whether it passed, with the counts of its tests if it has any. */
function stage(name, work) {
  console.log(`\n# ${name}`);
  const start = performance.now();
  const { passed, tests = { passed: 0, failed: 0, skipped: 0 } } = work();
  rows.push({ name, passed, tests, seconds: (performance.now() - start) / 1000 });
  return passed;
}

/**
 * Runs Jest with its results written to a file. A suite that cannot be loaded has no tests: it counts as one failure. Tests that
 * Jest calls pending or todo count as skipped.
 */
function jest(name, args) {
  const output = join(scratch, `${name}.json`);
  const node = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const passed = run(
    process.execPath,
    [...node, bin('jest/bin/jest.js'), '--ci', '--json', '--outputFile', output, ...args],
    {
      quiet: true,
    },
  );
  if (!existsSync(output)) return { passed: false };
  return { passed, tests: countTests(JSON.parse(readFileSync(output, 'utf8'))) };
}

/** A few tests again under smaller instruction sets; where this machine cannot be limited that counts as one skipped test. */
function smallerProcessors() {
  const found = shortForm();
  if (found.missing === undefined) return { passed: found.failed === 0, tests: found };
  console.log(found.missing);
  return { passed: true, tests: { passed: 0, failed: 0, skipped: 1 } };
}

function runAll() {
  if (!stage('install', () => ({ passed: ensureInstalled() }))) return;
  stage('build and types', () => ({ passed: build() }));
  stage('format and lint', () => ({
    passed: run(process.execPath, [bin('@biomejs/biome/bin/biome'), 'ci', '--colors=off', '.']),
  }));
  const alive = stage('smoke', () => jest('smoke', ['--testPathPatterns', smoke]));
  if (alive) stage('tests', () => jest('tests', ['--testPathIgnorePatterns', smoke]));
  if (alive) stage('portability', smallerProcessors);
  stage('fuzz', () => ({ passed: run(process.execPath, [join(root, 'dist/scripts/fuzz.js'), '--short']) }));
  stage('faults', () => ({ passed: run(process.execPath, [join(root, 'dist/scripts/faults.js'), '--short']) }));
  stage('budget', () => ({ passed: run(process.execPath, [join(root, 'dist/scripts/budget.js')]) }));
}

/** Prints the table and the last line; returns how many checks failed. A failed test already counts, its stage not again. */
function summarize() {
  console.log('\n# summary');
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, passed: ok, tests, seconds } of rows) {
    const counts = tests.passed + tests.failed + tests.skipped > 0 ? summaryOf(tests) : '';
    console.log(`${ok ? 'pass' : 'FAIL'}  ${name.padEnd(18)}${seconds.toFixed(1).padStart(7)} s  ${counts}`.trimEnd());
    sum.passed += tests.passed + (ok ? 1 : 0);
    sum.failed += tests.failed + (!ok && tests.failed === 0 ? 1 : 0);
    sum.skipped += tests.skipped;
  }
  console.log(summaryOf(sum));
  return sum.failed;
}

runAll();
rmSync(scratch, { recursive: true, force: true });
process.exitCode = summarize() === 0 ? 0 : 1;
