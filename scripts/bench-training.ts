/**
 * Training tokens per second of a block, here and in PyTorch on the same weights and rows, in one run: MatQuant over 8, 4 and 2 bits.
 *
 *   node dist/scripts/bench-training.js --model M.onnx --python PYTHON [--layers 0,1] [--rows 512] [--steps 20] [--activation gelu]
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { executionOf } from '../src/analysis/execution.js';
import { analyse } from '../src/analysis/projections.js';
import { TrainingSession } from '../src/autodiff/training-session.js';
import { table } from '../src/cli/render.js';
import { loadRows } from '../src/kernels/load-rows.js';
import { KernelPool } from '../src/kernels/pool.js';
import { importModel } from '../src/onnx/convert/import.js';
import { createRandom } from '../src/random.js';
import { ortRuntime } from '../src/runtime/ort.js';
import { floats } from '../src/runtime/runtime.js';
import { storedWeight } from '../src/solve/solve-projections.js';
import { findTrainBlocks, projectionsOf, type TrainBlock } from '../src/train/blocks/block.js';
import { blockRequest } from '../src/train/blocks/block-graph.js';
import { clipStudent } from '../src/train/blocks/clip-student.js';
import { feedsOf, type LearnKind } from '../src/train/blocks/learnables.js';
import { termsOf } from '../src/train/blocks/objective.js';
import { AdamW } from '../src/train/optimizer.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: '' },
    python: { type: 'string', default: 'python3' },
    layers: { type: 'string', default: '0,1' },
    rows: { type: 'string', default: '512' },
    steps: { type: 'string', default: '20' },
    block: { type: 'string', default: '32' },
    threads: { type: 'string', default: '2' },
    activation: { type: 'string', default: 'silu' },
  },
});
const [rows, steps, size, threads] = [values.rows, values.steps, values.block, values.threads].map(Number) as [
  number,
  number,
  number,
  number,
];
const WARM_UP = 3;

interface Measured {
  readonly tokensPerSecond: number;
  readonly losses: readonly number[];
  readonly peak: number;
}

const model = importModel(values.model);
const execution = executionOf(model.graph);
const { blocks } = findTrainBlocks(execution, analyse(model).projections);

function inputRows({ gate }: TrainBlock): Float32Array {
  const random = createRandom(7).fork('rows');
  return Float32Array.from({ length: rows * gate.k }, () => random.normal());
}

async function here(block: TrainBlock, x: Float32Array): Promise<Measured> {
  const student = clipStudent(block, {
    bits: [8, 4, 2],
    parent: 8,
    blockOf: () => size,
    slice: 'paper',
    symmetric: false,
    learn: new Set<LearnKind>(['clip']),
    start: 4,
  });
  const request = blockRequest(model, execution, block, student, termsOf([8, 4, 2], { 8: 0.1, 4: 0.1, 2: 1 }));
  const feeds = () => ({
    ...Object.fromEntries(block.inputs.map(({ name }) => [name, floats(x, [1, rows, block.gate.k])])),
    ...feedsOf(student.learnables),
  });
  const session = await TrainingSession.open(ortRuntime, request, feeds(), { threads });
  const adam = new AdamW(student.learnables.map((each) => ({ values: each.values })));
  const losses: number[] = [];
  let started = 0;
  for (let at = 0; at < WARM_UP + steps; at++) {
    if (at === WARM_UP) started = performance.now();
    const { loss, gradients } = await session.step(feeds());
    adam.step(gradients, 0.05);
    losses.push(loss);
  }
  const seconds = (performance.now() - started) / 1000;
  await session.close();
  return { tokensPerSecond: (steps * rows) / seconds, losses, peak: process.resourceUsage().maxRSS * 1024 };
}

async function there(block: TrainBlock, x: Float32Array, pool: KernelPool): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), 'matquant-bench-'));
  try {
    const { gate } = block;
    const shape = { hidden: gate.k, ffn: gate.n, rows, block: size, threads, steps, warmup: WARM_UP };
    writeFileSync(join(folder, 'block.json'), JSON.stringify({ ...shape, activation: values.activation }));
    writeFileSync(join(folder, 'x.bin'), x);
    for (const projection of projectionsOf(block))
      writeFileSync(join(folder, `${projection.role}.bin`), await loadRows(pool, storedWeight(projection)));
    const { stdout, stderr } = spawnSync(values.python, ['scripts/bench-training.py', folder], { encoding: 'utf8' });
    if (stdout === '') throw new Error(stderr);
    return JSON.parse(stdout) as Measured;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const pool = new KernelPool(1);
const lines: string[][] = [];
for (const layer of values.layers.split(',').map(Number)) {
  const block = blocks.find((each) => each.layer === layer);
  if (block === undefined) throw new Error(`no block in layer ${layer}`);
  const x = inputRows(block);
  const [torch, ours] = [await there(block, x, pool), await here(block, x)];
  const apart = Math.max(...ours.losses.map((loss, at) => Math.abs(loss / (torch.losses[at] ?? 0) - 1)));
  const megabytes = ({ peak }: Measured): string => (peak / 1e6).toFixed(0);
  lines.push([
    String(layer),
    ours.tokensPerSecond.toFixed(0),
    torch.tokensPerSecond.toFixed(0),
    (ours.tokensPerSecond / torch.tokensPerSecond).toFixed(2),
    apart.toExponential(1),
    megabytes(ours),
    megabytes(torch),
  ]);
}
await pool.close();
const titles = ['tokens/s', 'PyTorch', 'ratio', 'losses apart', 'peak MB', 'PyTorch'];
console.log(table([{ title: 'layer' }, ...titles.map((title) => ({ title, align: 'right' }) as const)], lines));
