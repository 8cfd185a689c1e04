/** Commands in the documentation have verbs and flags that exist, and the documentation says which of them are run by tests. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { Command } from '../src/cli/command.js';
import { program } from '../src/cli/program.js';
import { PRESETS } from '../src/index.js';
import { runHere } from './support/command-line.js';
import { commandsOf, type Documented, pages, scripts, shellLines, spansOf } from './support/documented.js';
import { root } from './support/paths.js';

/** The real verbs with their real options, which do nothing. */
const idle: readonly Command[] = program.commands.map((command) => ({
  ...command,
  register: (parser) => command.register(parser, async () => {}),
}));

const EVERYWHERE = ['json', 'quiet', 'debug', 'help', 'version'];

/** What is wrong with a command, or nothing. Of fragments, which name a flag or leave something out, the flags are looked at. */
async function problemOf({ line, args }: Documented): Promise<readonly string[]> {
  if (args.includes('…') || (args.length > 1 && args.at(-1)?.startsWith('--'))) {
    const command = program.commands.find(({ verb }) => verb === args[0]);
    const known = new Set([...(command?.optionNames ?? []), ...EVERYWHERE].map((name) => `--${name}`));
    const wrong = args.filter((arg) => arg.startsWith('--') && !known.has(arg));
    return command === undefined || wrong.length > 0 ? [`${line}: ${wrong.join(', ')}`] : [];
  }
  const preset = args[args.indexOf('--preset') + 1];
  const isNamed = args.includes('--preset') && preset?.startsWith('$') !== true;
  if (isNamed && !Object.hasOwn(PRESETS, preset ?? '')) return [`${line}: there is no such preset`];
  const { code, stderr } = await runHere(args, idle);
  return code === 0 ? [] : [`${line}: ${stderr.trim()}`];
}

const problemsOf = async (commands: readonly Documented[]): Promise<readonly string[]> =>
  (await Promise.all(commands.map(problemOf))).flat();

describe('commands of the documentation', () => {
  it.each([...pages, ...scripts].filter((page) => commandsOf(page).length > 0))(
    'in %s are understood',
    async (page) => {
      expect(await problemsOf(commandsOf(page))).toEqual([]);
    },
  );

  it('in running text are understood', async () => {
    const spans = pages.flatMap(spansOf);
    const verbs = new Set(program.commands.map(({ verb }) => verb));
    expect(spans.filter(({ args }) => !verbs.has(args[0] ?? ''))).toEqual([]);
    expect(await problemsOf(spans.filter(({ args }) => args.length > 1))).toEqual([]);
  });

  it('are found, and a wrong one is', async () => {
    expect(commandsOf('README.md').length).toBeGreaterThan(7);
    expect(commandsOf('docs/scale.md').length).toBeGreaterThan(10);
    expect(scripts.map((script) => commandsOf(script).length)).toEqual([2, 2]);
    const wrong = (...args: readonly string[]): Promise<readonly string[]> =>
      problemsOf([{ page: 'page.md', line: args.join(' '), args }]);
    expect(await wrong('compile', 'm.onnx', '--presets', 'best')).toHaveLength(1);
    expect(await wrong('compile', 'm.onnx', '--preset', 'worst')).toHaveLength(1);
    expect(await wrong('quantize', 'm.onnx')).toHaveLength(1);
    expect(await wrong('compile', '…', '--presets')).toHaveLength(1);
    expect(await wrong('compile', 'm.onnx', '--target', 'toaster')).toHaveLength(1);
  });
});

describe('docs/tutorials/README.md', () => {
  const text = readFileSync(join(root, 'docs/tutorials/README.md'), 'utf8');
  const listed = [...text.matchAll(/^\| \[[^\]]*\]\(([^)]*)\) \|/gm)].map(([, path = '']) =>
    join('docs/tutorials', path).replaceAll('\\', '/'),
  );

  it('lists every page with commands', () => {
    const missing = pages.filter(
      (page) => shellLines(page).some((line) => COMMAND.test(line)) && !listed.includes(page),
    );
    expect(missing).toEqual([]);
  });

  it('says for each whether a test runs it, or when it was run last', () => {
    const rows = text.split('\n').filter((row) => /^\| \[[^\]]*\]\([^)]*\) \|/.test(row));
    expect(rows.filter((row) => !/\.test\.ts`|[A-Z][a-z]+ 20\d\d/.test(row))).toEqual([]);
    const tests = [...text.matchAll(/`(test\/[^`]*\.test\.ts)`/g)].map(([, path = '']) => path);
    expect(tests.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});

const COMMAND = /^(\$ )?(?:npx|npm|node|matquant|pip|python3?|docker|optimum-cli|git|curl)\s/;
