/**
 * Tries the library in this process: `library.js ROOT options|descriptors MODEL IDS FOLDER`. Prints a line for everything that is not
 * right; exit code 1 when there is one.
 */
import { existsSync, readdirSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { codeOf, libraryOf } from '../fuzz/target.js';

const [root, what, model, ids, folder] = process.argv.slice(2) as [string, string, string, string, string];
const { compile, parseRecipe, silentContext } = await libraryOf(root);
const free = parseRecipe({ method: 'data-free', bits: [8, 2] }, 'faults');
const best = parseRecipe({ method: 'best', bits: [8, 2], tokens: 128 }, 'faults');
const machine = { threads: 1, memoryBytes: 2 ** 31, seed: 0, standalone: false, strict: false };
const sound = { model, output: join(folder, 'set'), recipe: free, ...machine };
type Options = Parameters<typeof compile>[0];

/** Options that no caller can mean. */
const WRONG: Readonly<Record<string, object>> = {
  'no model': { model: undefined },
  'model 5': { model: 5 },
  'no recipe': { recipe: undefined },
  'recipe {}': { recipe: {} },
  'best without text': { recipe: best },
  'text {}': { recipe: best, text: {} },
  'threads 0': { threads: 0 },
  'threads -1': { threads: -1 },
  'threads 1.5': { threads: 1.5 },
  'threads NaN': { threads: Number.NaN },
  'threads "2"': { threads: '2' },
  'threads 100000': { threads: 100_000 },
  'memoryBytes NaN': { memoryBytes: Number.NaN },
  'memoryBytes -1': { memoryBytes: -1 },
  'seed NaN': { seed: Number.NaN, recipe: best, text: { ids } },
  'seed 1.5': { seed: 1.5, recipe: best, text: { ids } },
  'output ""': { output: '' },
  'no output': { output: undefined },
  'name ../x': { name: '../x' },
  'name ""': { name: '' },
  'work 5': { work: 5 },
  'targetBytes -1': { targetBytes: -1 },
};

const LIMIT_MS = 20_000;

/** Undefined when the options are refused with a code. */
async function refusal(name: string, change: object): Promise<string | undefined> {
  const timer = new Promise<string>((resolve) => setTimeout(() => resolve('no end'), LIMIT_MS).unref());
  const done = compile({ ...sound, ...change } as Options, silentContext()).then(
    () => 'accepted',
    (error: unknown) =>
      codeOf(error) === undefined ? `throws ${error instanceof Error ? error.name : typeof error}` : undefined,
  );
  const how = await Promise.race([timer, done]);
  return how === undefined ? undefined : `${name}: ${how}`;
}

/** Open descriptors by what they lead to; numbers in names are left out. */
function openFiles(): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`).replaceAll(/\d{3,}/g, 'N');
      counts.set(target, (counts.get(target) ?? 0) + 1);
    } catch {
      // It was that of the listing itself.
    }
  }
  return counts;
}

async function descriptors(): Promise<readonly string[]> {
  if (!existsSync('/proc/self/fd')) return ['skipped: descriptors are listed on Linux only'];
  const counts: ReadonlyMap<string, number>[] = [];
  for (let time = 0; time < 4; time++) {
    await compile(sound, silentContext());
    counts.push(openFiles());
  }
  const [, second, , last] = counts as [
    ReadonlyMap<string, number>,
    ReadonlyMap<string, number>,
    unknown,
    ReadonlyMap<string, number>,
  ];
  return [...last]
    .filter(([name, count]) => count > (second.get(name) ?? 0))
    .map(([name, count]) => `${name}: ${second.get(name) ?? 0} to ${count}`);
}

async function options(): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const [name, change] of Object.entries(WRONG)) {
    const line = await refusal(name, change);
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

const lines = await (what === 'options' ? options() : descriptors());
console.log(lines.join('\n'));
process.exit(lines.length === 0 || lines[0]?.startsWith('skipped') ? 0 : 1);
