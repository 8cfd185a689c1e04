/**
 * Mutates models, manifests, recipes, statistics, tokenizers and text, and sees what the library does with each: a case ends in
 * success or in a refusal with a code, and a model that compiles computes what its mutated source does. Cases depend on the seed,
 * the kind and their number alone, so any of them can be tried again: `--only KIND --seed S --from INDEX --cases 1`.
 *   npm run fuzz -- --seconds 60 --seed 1 [--only models,recipes] [--cases N] [--short] [--json] [--root FOLDER OF ANOTHER BUILD]
 */
import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { byteSize, right, table } from '../src/cli/render.js';
import { KINDS } from './fuzz/kinds.js';
import type { Fault, Tally } from './fuzz/messages.js';
import { here } from './fuzz/target.js';
import { type Watch, watchKind } from './fuzz/watch.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    cases: { type: 'string' },
    short: { type: 'boolean', default: false },
    from: { type: 'string', default: '0' },
    jobs: { type: 'string', default: '2' },
    limit: { type: 'string', default: '60' },
    memory: { type: 'string', default: '3072' },
    root: { type: 'string', default: here },
    json: { type: 'boolean', default: false },
  },
});

/** A whole number of a flag. */
function count(name: 'seconds' | 'seed' | 'cases' | 'from' | 'jobs' | 'limit' | 'memory', otherwise: number): number {
  const number = values[name] === undefined ? otherwise : Number(values[name]);
  if (!Number.isInteger(number) || number < 0) throw new RangeError(`--${name} takes a whole number`);
  return number;
}

/** Cases of --short: about half a minute on two cores. */
const SHORT: Readonly<Record<string, number>> = {
  models: 150,
  compilations: 30,
  manifests: 150,
  recipes: 1500,
  statistics: 25,
  tokenizers: 40,
  text: 60,
};

const kinds = values.only?.split(',') ?? Object.keys(KINDS);
const unknown = kinds.find((kind) => KINDS[kind] === undefined);
if (unknown !== undefined) throw new RangeError(`--only takes ${Object.keys(KINDS).join(', ')}, not ${unknown}`);
const cases = count('cases', Number.MAX_SAFE_INTEGER);
const seconds = count('seconds', values.cases === undefined && !values.short ? 60 : 7 * 24 * 3600);
const jobs = Math.max(1, Math.min(count('jobs', 2), kinds.length));
const out = join(here, 'out/fuzz');
mkdirSync(out, { recursive: true });

const say = ({ kind, index, how, note, detail, saved }: Fault): void => {
  process.stderr.write(`${kind} ${index} ${how.toUpperCase()} (${note}) ${detail}\n  ${saved}\n`);
};

/** Every kind gets an equal part of the time. */
async function runAll(): Promise<Tally[]> {
  const share = (1000 * seconds * jobs) / kinds.length;
  const waiting = [...kinds];
  const tallies = new Map<string, Tally>();
  const work = async (): Promise<void> => {
    for (let kind = waiting.shift(); kind !== undefined; kind = waiting.shift()) {
      const watch: Watch = {
        root: resolve(values.root),
        seed: count('seed', 1),
        from: count('from', 0),
        cases: Math.min(values.short ? (SHORT[kind] ?? 0) : cases, 2 ** 40),
        until: Date.now() + share,
        limitSeconds: count('limit', 60),
        limitBytes: count('memory', 3072) * 2 ** 20,
        out,
        onFault: say,
      };
      tallies.set(kind, await watchKind(kind, watch));
    }
  };
  await Promise.all(Array.from({ length: jobs }, work));
  return kinds.map((kind) => tallies.get(kind) as Tally);
}

const faultsOf = ({ wrong, crashes, hangs, left }: Tally): number => wrong + crashes + hangs + left;

function render(tallies: readonly Tally[]): string {
  const titles = ['cases', 'ended right', 'refused', 'wrong', 'left files', 'crashes', 'hangs', 'slowest', 'peak'];
  const columns = [{ title: 'kind' }, ...[...titles, 'compared', 'worst KL', 'of its limit'].map(right)];
  const rows = tallies.map((tally) => [
    tally.kind,
    ...[tally.cases, tally.succeeded, tally.refused, tally.wrong, tally.left, tally.crashes, tally.hangs].map(String),
    `${tally.slowest.toFixed(1)} s`,
    byteSize(tally.peakBytes),
    tally.compared === 0 ? '' : String(tally.compared),
    tally.compared === 0 ? '' : tally.worstKl.toPrecision(3),
    tally.compared === 0 ? '' : `${(100 * tally.worstShare).toFixed(0)} %`,
  ]);
  const codes = tallies
    .filter(({ refused }) => refused > 0)
    .map(
      ({ kind, codes }) =>
        `${kind}: ${Object.entries(codes)
          .sort(([, a], [, b]) => b - a)
          .map(([code, n]) => `${code} ${n}`)
          .join(', ')}`,
    );
  return `${table(columns, rows)}\n\n${codes.join('\n')}`;
}

const tallies = await runAll();
const faults = tallies.reduce((sum, tally) => sum + faultsOf(tally), 0);
console.log(values.json ? JSON.stringify({ seed: count('seed', 1), faults, tallies }) : render(tallies));
if (!values.json) console.log(`\n${faults} faults.`);
process.exit(faults === 0 ? 0 : 1);
