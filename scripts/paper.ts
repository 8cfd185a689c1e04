/**
 * The tables of the MatQuant paper (arXiv 2502.06786) for one model: methods by precision, codes, mixes, and which of the paper's
 * claims hold here. Every method gets the same text, steps and seed.
 *
 *   npm run paper -- MODEL --calibration IDS.jsonl --held IDS.jsonl [--block 32] [--steps N] [--tokens 32768] [--windows N]
 *     [--methods "omniquant,matquant .1"] [--work FOLDER] [--no-mixes]
 *
 * Cells are negative log-likelihood above the float model, and KL to it, in nats per position of the held-out text.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { right, significant, table } from '../src/cli/render.js';
import { silentContext, sweep } from '../src/index.js';
import { type BenchOptions, type MethodResult, measureMethod } from './bench/measure.js';
import { BITS, METHODS } from './bench/methods.js';
import { BENCH_FLAGS, benchOptions } from './bench/options.js';
import { markdownTable } from './markdown.js';
import { judge, METHODS_OF_CLAIMS } from './paper/claims.js';
import { histogram, meanLevel } from './paper/histogram.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ...BENCH_FLAGS,
    steps: { type: 'string' },
    windows: { type: 'string' },
    methods: { type: 'string', default: ['sliced-minmax', ...METHODS_OF_CLAIMS, 'best', 'tuned'].join(',') },
    'no-mixes': { type: 'boolean', default: false },
  },
});
const { calibration, held } = values;
const [model] = positionals;
if (model === undefined || calibration === undefined || held === undefined)
  throw new TypeError('MODEL --calibration IDS.jsonl --held IDS.jsonl are needed');
const folder = mkdtempSync(join(tmpdir(), 'matquant-paper-'));
const options: BenchOptions = {
  ...benchOptions({ model, calibration, held }, values, folder),
  steps: values.steps === undefined ? undefined : Number(values.steps),
  windows: values.windows === undefined ? undefined : Number(values.windows),
};
/** Averages of bits whose mixes are compared. */
const AVERAGES = [2.5, 3, 4] as const;
const results = new Map<string, MethodResult>();

const difference = (value: number): string => `${value < 0 ? '−' : '+'}${significant(Math.abs(value))}`;

/** Methods by precision. */
function methodTable(): string {
  const rows = [...results].map(([name, { quality, seconds }]) => [
    name,
    ...BITS.map((bits) => {
      const cell = quality.get(bits);
      return cell === undefined ? '' : `${difference(cell.deltaNll)} (${significant(cell.kl)})`;
    }),
    seconds.toFixed(0),
  ]);
  return markdownTable(['method', ...BITS.map((bits) => `int${bits}`), 'seconds'], rows);
}

function claimTable(): string {
  const figures = judge((method, bits) => results.get(method)?.quality.get(bits)?.deltaNll);
  const rows = figures.map(({ source, text, smaller, larger, agrees }) => [
    source,
    text,
    difference(smaller),
    difference(larger),
    agrees ? 'agrees' : 'disagrees',
  ]);
  return markdownTable(['paper', 'claim', 'first figure', 'second figure', 'here'], rows);
}

/** Shares of the int2 codes, for methods with one nested set. */
function codeTable(): string {
  const rows = [...results]
    .filter(([name]) => METHODS[name]?.single !== true)
    .map(([name, { set }]) => {
      const shares = histogram(set, 2);
      return [name, ...shares.map((share) => `${(100 * share).toFixed(1)} %`), meanLevel(shares).toFixed(3)];
    });
  return markdownTable(['method', 'code 0', 'code 1', 'code 2', 'code 3', 'mean level'], rows);
}

/** Mix'n'Match: named shapes and searched mixes at the same average of bits. */
async function mixTable(name: string): Promise<string> {
  const { set } = results.get(name) as MethodResult;
  const measure = { original: model as string, text: { ids: calibration as string } };
  const score = { ...measure, text: { ids: held as string } };
  const { points } = await sweep(
    { set, averageBits: AVERAGES, methods: ['dp', 'evolution'], search: { measure }, score },
    silentContext(),
  );
  const lines = points.map((point) => [point.name, point.averageBits.toFixed(2), significant(point.kl)]);
  return table([{ title: `mix of ${name}` }, right('bits'), right('KL')], lines);
}

async function main(): Promise<void> {
  for (const name of values.methods.split(',')) {
    const method = METHODS[name];
    if (method === undefined) throw new TypeError(`There is no method ${name}`);
    results.set(name, await measureMethod(name, method, options));
    process.stderr.write(`${name} done\n`);
  }
  console.log(`${methodTable()}\n\n${claimTable()}\n\n${codeTable()}`);
  if (values['no-mixes']) return;
  for (const name of ['matquant .1', 'best']) if (results.has(name)) console.log(`\n${await mixTable(name)}`);
}

await main().finally(() => rmSync(folder, { recursive: true, force: true }));
process.exit(0);
