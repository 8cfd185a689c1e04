/**
 * One step of action.yml: MATQUANT_STEP is key, compile or verify. Takes its inputs from MATQUANT_… variables, writes outputs to
 * GITHUB_OUTPUT, and ends with the exit code of the command. Needs nothing but Node.js.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, closeSync, existsSync, mkdirSync, openSync, readdirSync, readSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const input = (name) => (process.env[`MATQUANT_${name}`] ?? '').trim();
const lines = (text) =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');

/** One line per output; values hold no line ends. */
function output(name, value) {
  const file = process.env.GITHUB_OUTPUT;
  if (file) appendFileSync(file, `${name}=${value}\n`);
}

/** The folder that is kept between runs: results of stages, and downloads. */
const folder = () => resolve(input('FOLDER') || '.matquant-cache');

/** Runs matquant with --json; messages and annotations go to the log. The result is undefined where it printed none. */
function matquant(args) {
  const main = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
  const version = input('VERSION');
  const isLocal = version === 'local';
  if (isLocal && !existsSync(main)) stop('The checkout is not built: run npm ci && npm run build before this step');
  const npx = ['--yes', '--package', `onnx-matquant@${version}`, 'matquant'];
  const [program, before] = isLocal ? [process.execPath, [main]] : ['npx', npx];
  if (!isLocal && !/^[0-9A-Za-z.+-]+$/.test(version)) stop(`${version} is no version of a package`);
  // npx is a script that only a shell starts on Windows, where arguments then have to be quoted.
  const shell = process.platform === 'win32' && !isLocal;
  const quoted = shell ? args.map((arg) => `"${arg.replaceAll('"', '\\"')}"`) : args;
  console.log(`matquant ${args.join(' ')}`);
  const ran = spawnSync(program, [...before, ...quoted, '--json'], {
    shell,
    env: { ...process.env, HF_HOME: join(folder(), 'hub') },
    stdio: ['ignore', 'pipe', 'inherit'],
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
  });
  if (ran.error) stop(ran.error.message);
  const [last] = lines(ran.stdout).slice(-1);
  return { code: ran.status ?? 1, result: last === undefined ? undefined : JSON.parse(last) };
}

/** Ends the step with an annotation. */
function stop(message) {
  console.error(`::error title=matquant::${message.replaceAll('%', '%25').replaceAll('\n', '%0A')}`);
  process.exit(2);
}

/** Text or token ids as flags. */
function textFlags(text, ids) {
  if (ids !== '') return ['--ids', ids];
  if (text === '') return [];
  return [...lines(text).flatMap((file) => ['--text', file]), '--tokenizer', input('TOKENIZER')];
}

/** SHA-256 of a file read in pieces; of the name for what is no file, such as a name on a hub. */
function digest(hash, path) {
  hash.update(`\0${path}\0`);
  if (!existsSync(path)) return;
  const descriptor = openSync(path, 'r');
  const piece = Buffer.alloc(1 << 20);
  for (let read = readSync(descriptor, piece); read > 0; read = readSync(descriptor, piece))
    hash.update(piece.subarray(0, read));
  closeSync(descriptor);
}

/** The key holds everything that the set depends on; an older cache of the same model is a start. */
function key() {
  const model = input('MODEL');
  const of = createHash('sha256');
  digest(of, model);
  // Weights lie beside the graph.
  if (existsSync(model))
    for (const name of readdirSync(dirname(model)).sort())
      if (name.startsWith(basename(model)) && name !== basename(model)) digest(of, join(dirname(model), name));
  const source = of.digest('hex').slice(0, 16);
  const all = createHash('sha256').update(`${process.platform} ${process.arch} ${input('VERSION')}`);
  for (const path of [input('RECIPE'), ...lines(input('TEXT')), input('TOKENIZER'), input('IDS')])
    if (path) digest(all, path);
  const start = `matquant-${process.platform}-${process.arch}-${source}-`;
  output('key', `${start}${all.digest('hex').slice(0, 16)}`);
  output('restore', start);
  mkdirSync(folder(), { recursive: true });
  output('folder', folder());
}

function compile() {
  const recipe = input('RECIPE');
  const by = existsSync(recipe) ? ['--recipe', recipe] : ['--preset', recipe];
  const text = textFlags(input('TEXT'), input('IDS'));
  const work = ['--work', join(folder(), 'work')];
  const { code, result } = matquant(['compile', input('MODEL'), '-o', input('OUTPUT'), ...by, ...text, ...work]);
  if (code !== 0) return fail(code, result);
  const paths = result.files.map(({ path }) => path);
  output('set', paths.find((path) => /(?<!\.report)\.json$/.test(path)) ?? '');
  output('files', JSON.stringify(paths));
  output(
    'sizes',
    JSON.stringify(Object.fromEntries(result.precisions.map(({ bits, bytes }) => [`int${bits}`, bytes]))),
  );
  return 0;
}

function verify() {
  const [text, ids] = [input('VERIFY_TEXT'), input('VERIFY_IDS')];
  const own = text === '' && ids === '' ? textFlags(input('TEXT'), input('IDS')) : textFlags(text, ids);
  const windows = input('WINDOWS') === '' ? [] : ['--windows', input('WINDOWS')];
  const budget = ['--budget', input('BUDGET'), '--annotate', 'github'];
  const files = ['--summary', join(input('OUTPUT'), 'budget.md'), '--sarif', join(input('OUTPUT'), 'budget.sarif')];
  const { code, result } = matquant(['verify', input('MODEL'), input('SET'), ...budget, ...own, ...windows, ...files]);
  if (code !== 0 && code !== 3) return fail(code, result);
  output('passed', String(result.passed));
  output('quality', JSON.stringify(result.checks));
  return code;
}

/** Bad input as an annotation. */
function fail(code, result) {
  const { error } = result ?? {};
  if (error) stop(`${error.message} [${error.code}] at ${error.at}; ${error.remedy}.`);
  return code;
}

const steps = { key, compile, verify };
const step = steps[input('STEP')];
if (step === undefined) stop(`There is no step ${input('STEP')}`);
process.exitCode = step() ?? 0;
