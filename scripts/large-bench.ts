/**
 * A generated Mistral-shaped float16 export (4096/14336) through data-free `compile`, and self-contained slices of the set, each
 * beside `cp` of the same bytes in the same run: wall time, processor time, peak memory, and the ratio. Everything ends when the
 * bytes are on the disk. 6 layers are 1.06 * 10^9 feed-forward codes, 32 with a vocabulary of 32000 the size of Mistral 7B
 * (40 GB of disk).
 *   node dist/scripts/large-bench.js [--folder DIR] [--layers 6] [--vocabulary 8192] [--bits 4,8,2] [--runs 2] [--csv FILE]
 * A folder that is named is kept with its set, which is used again as it is.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { right, table } from '../src/cli/render.js';
import { exportModel } from '../src/onnx/convert/export.js';
import { generatedDecoder } from './generated-decoder.js';
import { type Measured, measureCopy, measureNode } from './measure.js';

const { values } = parseArgs({
  options: {
    folder: { type: 'string' },
    layers: { type: 'string', default: '6' },
    vocabulary: { type: 'string', default: '8192' },
    bits: { type: 'string', default: '4,8,2' },
    runs: { type: 'string', default: '2' },
    csv: { type: 'string' },
  },
});
const MAIN = fileURLToPath(new URL('../src/cli/main.js', import.meta.url));
const layers = Number(values.layers);
const vocabulary = Number(values.vocabulary);
const SHAPE = { hidden: 4096, ffn: 14336, heads: 32, kvHeads: 8, vocabulary, context: 512, seed: 1 } as const;
const CODES = 3 * SHAPE.hidden * SHAPE.ffn * layers;
const TITLES = ['what', 'GB copied', 'wall s', 'CPU s', 'cp s', 'x cp', 'peak MiB', 'private MiB'];
const rows: (readonly string[])[] = [];

/** Notes a program, and the copy of `paths` right behind it. */
async function note(measured: Measured, paths: readonly string[], folder: string): Promise<void> {
  const copied = await measureCopy(paths, folder);
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(0);
  const seconds = [measured.wallSeconds, measured.cpuSeconds, copied.seconds].map((each) => each.toFixed(2));
  const [ratio, memory] = [measured.wallSeconds / copied.seconds, [measured.peakRss, measured.peakPrivate]];
  rows.push([measured.name, (copied.bytes / 1e9).toFixed(3), ...seconds, ratio.toFixed(2), ...memory.map(mebibytes)]);
  console.error(rows.at(-1)?.join('  '));
}

/** The set, made once in a folder; the export goes when it is there. */
async function setIn(folder: string): Promise<string> {
  const output = join(folder, 'set');
  const set = join(output, 'model.json');
  if (existsSync(set)) return set;
  const model = join(folder, 'model.onnx');
  const files = [model, `${model}.data`];
  if (!files.every(existsSync)) exportModel(generatedDecoder({ ...SHAPE, layers, dtype: 'float16' }), model);
  const options = ['-o', output, '--name', 'model', '--preset', 'data-free', '--memory', '2GiB', '--quiet'];
  const compiled = await measureNode('compile', [MAIN, 'compile', model, ...options]);
  await note(compiled, files, folder);
  const { data } = JSON.parse(readFileSync(set, 'utf8')) as { data: string };
  console.log(`set: ${(statSync(join(output, data)).size / 1e9).toFixed(3)} GB`);
  for (const file of files) rmSync(file);
  return set;
}

async function slice(set: string, bits: string, folder: string): Promise<void> {
  const output = join(folder, 'slice');
  mkdirSync(output);
  const graph = join(output, 'model.onnx');
  const sliced = await measureNode(`int${bits}`, [MAIN, 'slice', set, '--bits', bits, '--standalone', '-o', graph]);
  await note(sliced, [graph, `${graph}_data`], folder);
  rmSync(output, { recursive: true });
}

const folder = values.folder ?? mkdtempSync(join(tmpdir(), 'matquant-large-'));
mkdirSync(folder, { recursive: true });
try {
  const set = await setIn(folder);
  const precisions = values.bits.split(',').filter((bits) => bits !== '');
  for (let run = 0; run < Number(values.runs); run++) for (const bits of precisions) await slice(set, bits, folder);
  console.log(`${layers} layers, ${(CODES / 1e9).toFixed(2)} * 10^9 codes`);
  console.log(table(TITLES.map(right), rows));
  if (values.csv !== undefined) {
    writeFileSync(values.csv, `${[TITLES, ...rows].map((row) => row.join(',')).join('\n')}\n`);
  }
} finally {
  if (values.folder === undefined) rmSync(folder, { recursive: true });
}
