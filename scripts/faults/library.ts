/**
 * Tries the library in this process: `library.js ROOT options|descriptors MODEL IDS FOLDER`. Prints one line of JSON for each try.
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
  'recipe null': { recipe: null },
  'recipe {}': { recipe: {} },
  'best without text': { recipe: best },
  'text {}': { recipe: best, text: {} },
  'threads 0': { threads: 0 },
  'threads -1': { threads: -1 },
  'threads 1.5': { threads: 1.5 },
  'threads NaN': { threads: Number.NaN },
  'threads "2"': { threads: '2' },
  'memoryBytes NaN': { memoryBytes: Number.NaN },
  'memoryBytes -1': { memoryBytes: -1 },
  'seed NaN': { seed: Number.NaN, recipe: best, text: { ids } },
  'seed 1.5': { seed: 1.5, recipe: best, text: { ids } },
  'output ""': { output: '' },
  'output 5': { output: 5 },
  'name ../x': { name: '../x' },
  'name ""': { name: '' },
  'work 5': { work: 5 },
  'targetBytes -1': { targetBytes: -1 },
};

const LIMIT_MS = 10_000;

/** `right` when the options are refused with a code; else what happened. */
async function refusal(change: object): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('no end'), LIMIT_MS);
  });
  const done = compile({ ...sound, ...change } as Options, silentContext()).then(
    () => 'accepted',
    (error: unknown) =>
      codeOf(error) === undefined ? `throws ${error instanceof Error ? error.name : typeof error}` : 'right',
  );
  return Promise.race([late, done]).finally(() => clearTimeout(timer));
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

/** Names of what is open more often after four compilations than after two. */
async function descriptors(): Promise<string> {
  if (!existsSync('/proc/self/fd')) return 'skipped';
  const counts: ReadonlyMap<string, number>[] = [];
  for (let time = 0; time < 4; time++) {
    await compile(sound, silentContext());
    counts.push(openFiles());
  }
  const [, early, , late] = counts as [unknown, ReadonlyMap<string, number>, unknown, ReadonlyMap<string, number>];
  const more = [...late].filter(([name, count]) => count > (early.get(name) ?? 0));
  return more.length === 0
    ? 'right'
    : more.map(([name, count]) => `${name}: ${early.get(name) ?? 0} to ${count}`).join(', ');
}

const say = (name: string, how: string): void => console.log(JSON.stringify({ name, how }));

if (what === 'descriptors') say('four compilations', await descriptors());
else for (const [name, change] of Object.entries(WRONG)) say(name, await refusal(change));
process.exit(0);
