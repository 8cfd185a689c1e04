/**
 * Builds everything into dist/: installs what the lock file names when it is not there, compiles the TypeScript with tsc,
 * and the WebAssembly kernels with asc. Plain Node, so that it runs in a fresh clone. `--clean` starts from nothing.
 */
import { chmodSync, existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensureInstalled, root, run } from './install.mjs';

const dist = join(root, 'dist');
const kernels = {
  config: 'src/kernels/assembly/asconfig.json',
  folder: 'src/kernels/assembly',
  output: 'dist/kernels.wasm',
};

/** Builds what is out of date. Returns true when types, kernels and installation are all in order. */
export function build() {
  if (!ensureInstalled()) return false;
  prune(dist);
  const typed = compileTypeScript();
  return compileKernels() && typed;
}

function compileTypeScript() {
  const flags = ['--pretty', 'false', '--incremental', '--tsBuildInfoFile', 'dist/tsconfig.tsbuildinfo'];
  const done = run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', root, ...flags]);
  const cli = join(dist, 'src/cli/main.js');
  if (existsSync(cli)) chmodSync(cli, 0o755);
  return done;
}

function compileKernels() {
  if (
    !existsSync(join(root, kernels.config)) ||
    newest(join(root, kernels.folder)) <= timeOf(join(root, kernels.output))
  )
    return true;
  return run(process.execPath, [join(root, 'node_modules/assemblyscript/bin/asc.js'), '--config', kernels.config]);
}

/** Removes compiled files whose source is gone, so that a deleted test does not go on running. */
function prune(folder, relative = '') {
  if (!existsSync(folder)) return;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    const name = join(relative, entry.name);
    const source = name.replace(/\.(js|d\.ts)(\.map)?$/, '.ts');
    if (entry.isDirectory()) prune(path, name);
    else if (source !== name && !existsSync(join(root, source))) rmSync(path);
  }
}

const timeOf = (path) => (existsSync(path) ? statSync(path).mtimeMs : 0);

function newest(folder) {
  const names = readdirSync(folder, { recursive: true });
  return Math.max(0, ...names.map((name) => timeOf(join(folder, name))));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--clean')) rmSync(dist, { recursive: true, force: true });
  process.exit(build() ? 0 : 1);
}
