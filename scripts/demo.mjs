/** The whole road on a small model of the repository: inspect, compile, compare, cut. Writes to out/demo. Plain Node. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './build.mjs';
import { root } from './install.mjs';

const model = 'fixtures/models/mistral-656k/model.onnx';
const out = 'out/demo';
const steps = [`inspect ${model}`, `compile ${model} -o ${out}/set --preset data-free`];

function matquant(line) {
  console.log(`\n$ matquant ${line}`);
  const { status } = spawnSync(process.execPath, [join(root, 'dist/src/cli/main.js'), ...line.split(' ')], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  return status === 0;
}

function demo() {
  if (!build()) return false;
  if (!existsSync(join(root, model))) {
    console.log(`${model} is missing`);
    return false;
  }
  rmSync(join(root, out), { recursive: true, force: true });
  mkdirSync(join(root, out), { recursive: true });
  return steps.every(matquant);
}

process.exitCode = demo() ? 0 : 1;
