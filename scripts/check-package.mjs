/**
 * What npm would publish, installed in an empty folder: the command prints its help and compiles a model, the library is
 * imported with its types beside it. Needs the npm registry (or npm's cache) for the dependencies; nothing else is downloaded.
 *   node scripts/check-package.mjs [MODEL.onnx]
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'matquant-package-'));
const [model] = process.argv.slice(2);

/** Runs a program in the empty folder and returns what it printed. */
const run = (program, ...args) =>
  execFileSync(program, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

try {
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder], { cwd: root, stdio: 'ignore' });
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (tarball === undefined) throw new Error('npm pack wrote no tarball');
  writeFileSync(join(folder, 'package.json'), '{"private":true,"type":"module"}');
  run('npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent', `./${tarball}`);
  if (!run('npx', '--no-install', 'matquant', '--help').includes('compile')) throw new Error('no help');
  const installed = JSON.parse(readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8')).packages;
  const scripts = Object.keys(installed).filter((name) => installed[name].hasInstallScript);
  if (scripts.join() !== 'node_modules/onnxruntime-node') throw new Error(`install scripts: ${scripts.join(', ')}`);
  const library =
    "import { compile, parseRecipe } from 'onnx-matquant'; console.log(typeof compile, parseRecipe({}, 'x').block);";
  if (run('node', '--input-type=module', '-e', library).trim() !== 'function 128') throw new Error('no library');
  if (!existsSync(join(folder, 'node_modules/onnx-matquant/dist/src/index.d.ts'))) throw new Error('no types');
  if (model !== undefined)
    run('npx', '--no-install', 'matquant', 'compile', model, '-o', 'out', '--preset', 'data-free', '--quiet');
  const sizes = readdirSync(join(folder, 'node_modules'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => statSync(join(entry.parentPath, entry.name)).size);
  const megabytes = Math.round(sizes.reduce((sum, size) => sum + size, 0) / 1e6);
  console.log(`installed without install scripts: ${Object.keys(installed).length} packages, ${megabytes} MB`);
  console.log(
    `${tarball}, ${statSync(join(folder, tarball)).size} bytes: installs, prints help, is imported${model ? ', compiles' : ''}`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
