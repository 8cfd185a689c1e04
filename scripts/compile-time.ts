/**
 * Seconds of each stage of a compilation, and of ONNX Runtime's own quantizer on the same model in the same run:
 *
 *   node dist/scripts/compile-time.js MODEL IDS [--block 128] [--threads 2] [--tokens 32768] [--python PYTHON]
 *
 * PYTHON needs onnxruntime, onnx and onnx_ir; without it only our figures are printed. ONNX Runtime's quantizer takes one
 * precision (int4), no text for RTN and HQQ, and every MatMul of the model; the rows say how many weights each quantized.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureNode } from './measure.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    block: { type: 'string', default: '128' },
    threads: { type: 'string', default: String(cpus().length) },
    tokens: { type: 'string', default: '32768' },
    python: { type: 'string' },
  },
});
const [model, ids] = positionals;
if (model === undefined || ids === undefined) throw new Error('MODEL IDS');

interface Compiled {
  readonly stages: Readonly<Record<string, number>>;
  readonly projections: readonly { readonly n: number; readonly k: number }[];
}

const seconds = (value: number | undefined): string => (value ?? 0).toFixed(1);

async function ours(preset: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'matquant-time-'));
  try {
    const recipe = [
      '--preset',
      preset,
      '--block',
      values.block,
      '--tokens',
      values.tokens,
      '--threads',
      values.threads,
    ];
    const args = [
      'dist/src/cli/main.js',
      'compile',
      model as string,
      '-o',
      join(folder, 'set'),
      '--ids',
      ids as string,
    ];
    const run = await measureNode(preset, [...args, ...recipe, '--json', '-q']);
    const { stages, projections } = JSON.parse(run.output) as Compiled;
    const millions = projections.reduce((sum, { n, k }) => sum + n * k, 0) / 1e6;
    const perMillion = ((stages.solve ?? 0) * Number(values.threads)) / millions;
    row(
      preset,
      [stages.capture, stages.solve, stages.emit].map(seconds).join(' / '),
      seconds(run.wallSeconds),
      seconds(run.cpuSeconds),
      `${millions.toFixed(1)} M`,
      perMillion.toFixed(2),
      `${Math.round(run.peakRss / 1e6)} MB`,
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const PROGRAM = `
import sys, time, resource, onnx
from onnxruntime.quantization import matmul_nbits_quantizer as q
model, method, block = sys.argv[1], sys.argv[2], int(sys.argv[3])
start = time.time()
loaded = onnx.load(model)
kinds = {
    "RTN": lambda: q.DefaultWeightOnlyQuantConfig(block_size=block, is_symmetric=False),
    "HQQ": lambda: q.HQQWeightOnlyQuantConfig(block_size=block),
}
runner = q.MatMulNBitsQuantizer(loaded, algo_config=kinds[method]())
runner.process()
sizes = [{a.name: a.i for a in n.attribute} for n in runner.model.graph().node if n.op_type == "MatMulNBits"]
count = sum(size["K"] * size["N"] for size in sizes)
used = resource.getrusage(resource.RUSAGE_SELF)
print("@", time.time() - start, used.ru_utime + used.ru_stime, count / 1e6, used.ru_maxrss * 1024)
`;

function theirs(python: string, method: string): void {
  const run = spawnSync(python, ['-c', PROGRAM, model as string, method, values.block], { encoding: 'utf8' });
  const found = run.stdout
    .split('\n')
    .find((line) => line.startsWith('@'))
    ?.split(' ');
  if (found === undefined) throw new Error(`${method}: ${run.stderr.slice(-1000)}`);
  const [wall = 0, cpu = 0, millions = 0, peak = 0] = found.slice(1).map(Number);
  row(
    `ONNX Runtime ${method} int4`,
    '',
    seconds(wall),
    seconds(cpu),
    `${millions.toFixed(1)} M`,
    '',
    `${Math.round(peak / 1e6)} MB`,
  );
}

function row(...cells: readonly string[]): void {
  process.stdout.write(`| ${cells.join(' | ')} |\n`);
}

row(
  'what',
  'capture / solve / emit',
  'seconds',
  'processor seconds',
  'weights',
  'solver: thread seconds per million',
  'peak',
);
row(...new Array<string>(7).fill('---'));
for (const preset of ['best', 'fast', 'data-free']) await ours(preset);
for (const method of values.python === undefined ? [] : ['RTN', 'HQQ']) theirs(values.python ?? '', method);
