/**
 * Compares methods on one model: each is compiled, sliced where it must be, and scored on held text; KL to float per precision.
 *
 *   npm run bench -- --model M.onnx --calibration IDS.jsonl --held IDS.jsonl [--block 32] [--only best,single]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { right, significant, table } from '../src/cli/render.js';
import { measureMethod } from './bench/measure.js';
import { BITS, METHODS } from './bench/methods.js';
import { BENCH_FLAGS, benchOptions } from './bench/options.js';

const { values } = parseArgs({ options: { ...BENCH_FLAGS, model: { type: 'string' }, only: { type: 'string' } } });
const { model, calibration, held } = values;
if (model === undefined || calibration === undefined || held === undefined)
  throw new TypeError('--model FILE, --calibration FILE and --held FILE are needed');
const folder = mkdtempSync(join(tmpdir(), 'matquant-bench-'));
const options = benchOptions({ model, calibration, held }, values, folder);

async function main(): Promise<void> {
  const names = values.only?.split(',') ?? Object.keys(METHODS);
  const rows: string[][] = [];
  for (const name of names) {
    const method = METHODS[name];
    if (method === undefined) throw new Error(`no method ${name}`);
    const { quality, seconds } = await measureMethod(name, method, options);
    const cells = BITS.map((bits) => quality.get(bits)).map((each) => (each ? significant(each.kl) : '-'));
    rows.push([name, ...cells, seconds.toFixed(0)]);
    console.log(rows.at(-1)?.join('  '));
  }
  const titles = [...BITS.map((bits) => `int${bits}`), 'seconds'];
  console.log(table([{ title: 'method' }, ...titles.map(right)], rows));
}

await main().finally(() => rmSync(folder, { recursive: true, force: true }));
