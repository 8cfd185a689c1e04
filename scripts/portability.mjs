/**
 * Runs the tests under several instruction sets, so that no test depends on the processor of one machine:
 *
 *   npm run portability -- [--only NAME,…] [--tests PATTERN | --short] [--by cpuid|qemu]
 *
 * `--only` takes names of scripts/portability/instruction-sets.mjs, `--tests` a pattern of test files; `--short` runs those that
 * touch ONNX Runtime's kernels and ours in a minute or two. See docs/portability.md. Exit code 1: a test failed, or bytes differ
 * that must not; 2: something is missing. Plain Node, so that it runs in a fresh clone.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from './build.mjs';
import { root } from './install.mjs';
import { INSTRUCTION_SETS } from './portability/instruction-sets.mjs';
import { limiter, missingFor } from './portability/limit.mjs';
import { countTests, summaryOf } from './test-counts.mjs';

/** Tests of our kernels, of the graphs that ONNX Runtime runs, and of small compilations. */
const SHORT =
  '(smoke|kernels/[^/]+|solve/kernel/(solve|clip)|runtime/(ort|decoder)|passes/nest-projections|(evaluate/reference|compile/compile-models))\\.test\\.js$';
/** QEMU takes about ten times as long, so it runs the short form unless told otherwise. */
const TIMEOUT = { cpuid: 240_000, qemu: 1_200_000 };

/** The sets asked for that this machine can be limited to; says which it cannot. */
function setsFor(way, only) {
  const names = only?.split(',');
  const unknown = names?.find((name) => INSTRUCTION_SETS.every((set) => set.name !== name));
  if (unknown !== undefined)
    throw new RangeError(`--only: no instruction set is called ${unknown}; there are ${listOf(INSTRUCTION_SETS)}.`);
  const flags =
    readFileSync('/proc/cpuinfo', 'utf8')
      .match(/^flags\s*:(.*)$/m)?.[1]
      ?.split(' ') ?? [];
  const asked = INSTRUCTION_SETS.filter(({ name }) => names?.includes(name) ?? true);
  const able = asked.filter(({ needs, model }) => (way === 'qemu' ? model !== undefined : flags.includes(needs)));
  const left = asked.filter((set) => !able.includes(set));
  if (left.length > 0) console.log(`${way === 'qemu' ? 'QEMU' : 'This processor'} does not have ${listOf(left)}.`);
  return able;
}

const listOf = (sets) => sets.map(({ name }) => name).join(', ');

function spawnUnder(limit, set, args) {
  const [command, ...before] = limit.commandOf(set);
  const stdio = ['ignore', 'pipe', 'inherit'];
  return spawnSync(command, [...before, ...args], {
    cwd: root,
    env: limit.environmentOf(set),
    stdio,
    encoding: 'utf8',
  });
}

/** Digests of one set, and the counts of its tests. */
function runSet(limit, set, { tests, way, folder }) {
  const start = performance.now();
  const { stdout, status, signal } = spawnUnder(limit, set, [join(root, 'dist/scripts/portability/probe.js')]);
  if (status !== 0) throw new Error(`${set.name}: the probe ended with ${signal ?? status}.`);
  const output = join(folder, `${set.name}.json`);
  const jest = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'];
  const args = ['--ci', '--json', '--outputFile', output, '--testTimeout', String(TIMEOUT[way])];
  // QEMU does not follow child processes, so the tests run in its own.
  if (way === 'qemu') args.push('--runInBand');
  if (tests !== undefined) args.push('--testPathPatterns', tests);
  spawnUnder(limit, set, [...jest, ...args]);
  const counts = existsSync(output)
    ? countTests(JSON.parse(readFileSync(output, 'utf8')))
    : { passed: 0, failed: 1, skipped: 0 };
  return { name: set.name, digests: JSON.parse(stdout), counts, seconds: (performance.now() - start) / 1000 };
}

/** Digests of the probe that do not depend on the processor. */
const SAME = { own: 'Our own arithmetic', set: 'A set captured in float64' };

/** Prints one line a set; returns the sum. Bytes that differ between sets and must not count as a failure each. */
function summarize(rows) {
  console.log('\n# instruction sets');
  const sum = { passed: 0, failed: 0, skipped: 0 };
  for (const { name, digests, counts, seconds } of rows) {
    const parts = Object.entries(digests).map(([what, digest]) => `${what} ${digest}`);
    console.log(
      `${name.padEnd(12)} ${seconds.toFixed(0).padStart(6)} s  ${summaryOf(counts).padEnd(24)} ${parts.join('  ')}`,
    );
    for (const key of Object.keys(sum)) sum[key] += counts[key];
  }
  for (const [key, what] of Object.entries(SAME)) {
    if (new Set(rows.map(({ digests }) => digests[key])).size === 1) continue;
    console.log(`${what} (${key}) gives other bytes under other instruction sets.`);
    sum.failed++;
  }
  return sum;
}

/** Runs what the options ask for. Returns the sum of the counts, or the sentence that says what is missing. */
export function portability({ only, tests, way = 'cpuid' }) {
  const missing = missingFor(way);
  if (missing !== undefined) return { missing };
  const sets = setsFor(way, only);
  const folder = mkdtempSync(join(tmpdir(), 'matquant-portability-'));
  try {
    const limit = limiter(way, folder);
    return summarize(
      sets.map((set) => {
        console.log(`\n# ${set.name}`);
        return runSet(limit, set, { tests, way, folder });
      }),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The short form, under the sets that most machines have. */
export const shortForm = () => portability({ only: 'avx2,sse4', tests: SHORT });

function main() {
  const string = { type: 'string' };
  const { values } = parseArgs({ options: { only: string, tests: string, by: string, short: { type: 'boolean' } } });
  const { only, tests, short, by: way = 'cpuid' } = values;
  if (!(way in TIMEOUT)) throw new RangeError(`--by: ${way} is neither cpuid nor qemu.`);
  if (!build()) return 1;
  const found = portability({ only, tests: tests ?? (short || way === 'qemu' ? SHORT : undefined), way });
  console.log(found.missing ?? summaryOf(found));
  if (found.missing !== undefined) return 2;
  return found.failed === 0 && found.passed > 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    process.exitCode = main();
  } catch (error) {
    console.log(error.message);
    process.exitCode = 2;
  }
}
