/** Commands of the README and of a tutorial, run as they are written, one after the other. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it, jest } from '@jest/globals';
import { runChild } from '../support/command-line.js';
import { commandsOf, type Documented } from '../support/documented.js';
import { fixture, temporaryFolder } from '../support/paths.js';

jest.setTimeout(300_000);

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

/** Runs commands in a folder; `before` prepares what a command needs. Returns those that failed. */
function failures(
  commands: readonly Documented[],
  cwd: string,
  before: (args: readonly string[]) => void = () => {},
): readonly string[] {
  return commands.flatMap(({ line, args }) => {
    before(args);
    const { code, stderr } = runChild([...args, '--quiet'], cwd);
    return code === 0 ? [] : [`${line}: exit code ${code}, ${stderr}`];
  });
}

function folderOf(name: string, files: Readonly<Record<string, string>>): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const [target, source] of Object.entries(files))
    cpSync(fixture(source), join(folder, target), { recursive: true });
  return folder;
}

/** The beginning of a text, which is enough and quicker. */
const shorten = (path: string, characters: number): void =>
  writeFileSync(path, readFileSync(path, 'utf8').slice(0, characters));

it('the quick start of the README', () => {
  const cwd = folderOf('readme', {
    'model.onnx': 'models/mistral-656k/model.onnx',
    'tokenizer.json': 'models/mistral-656k/tokenizer.json',
    'tokenizer_config.json': 'models/mistral-656k/tokenizer_config.json',
    'c4.jsonl': 'text/c4-excerpt.jsonl',
    'held-out.txt': 'text/stories-excerpt.txt',
    'more.txt': 'text/stories-calibration.txt',
  });
  for (const name of ['held-out.txt', 'more.txt']) shorten(join(cwd, name), 12_000);
  const commands = commandsOf('README.md');
  const publish = (args: readonly string[]): void => {
    if (args.includes('published')) cpSync(join(cwd, 'out'), join(cwd, 'published'), { recursive: true });
  };
  expect(commands.map(({ args }) => args[0])).toEqual(
    expect.arrayContaining(['inspect', 'compile', 'eval', 'slice', 'mix', 'report', 'verify']),
  );
  expect(failures(commands, cwd, publish)).toEqual([]);
  for (const made of ['out/model_int2.onnx', 'int4/model_q4.onnx', 'out/model.report.html'])
    expect([made, existsSync(join(cwd, made))]).toEqual([made, true]);
});

it('the tutorial on fine-tunes, from the export on', () => {
  const cwd = folderOf('fine-tune', {
    model: 'models/mistral-656k',
    'own.txt': 'text/stories-calibration.txt',
    'held-out.txt': 'text/stories-excerpt.txt',
  });
  for (const name of ['own.txt', 'held-out.txt']) shorten(join(cwd, name), 24_000);
  const commands = commandsOf('docs/tutorials/fine-tune.md').filter(({ args }) => !args.includes('--for'));
  expect(commands.map(({ args }) => args[0])).toEqual(['inspect', 'compile', 'eval', 'verify', 'slice']);
  expect(failures(commands, cwd)).toEqual([]);
  expect(existsSync(join(cwd, 'web/onnx/model_q2.onnx_data'))).toBe(true);
});
