/** What every row starts from: a small model, a sound set of it, and what each verb makes of that set. */
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { writeIds, writeTiny } from '../fuzz/bases.js';
import { type Ran, type RunOptions, runCommand } from './command.js';
import { digests } from './folders.js';

export interface Bench {
  /** The build under test. */
  readonly root: string;
  readonly short: boolean;
  readonly scratch: string;
  /** The float model, with its data in model.onnx.data. */
  readonly model: string;
  readonly ids: string;
  /** Folder of the sound set, whose manifest is model.json. */
  readonly set: string;
  /** Folder of the files that a second run could reuse. */
  readonly work: string;
  /** Seconds that the compilation of the sound set took. */
  readonly seconds: number;
  /** Digests of the sound set. */
  readonly digests: Readonly<Record<string, string>>;
  run(args: readonly string[], options: RunOptions): Promise<Ran>;
  /** Whether the build under test knows a flag of a verb. */
  knows(verb: string, flag: string): Promise<boolean>;
  /** Messages of commands that name a temporary path. */
  readonly leaks: string[];
}

/** Flags of the compilation that makes the sound set. */
export const compileFlags = (ids: string, block = 32): readonly string[] => [
  ...['--block', String(block)],
  ...['--ids', ids, '--tokens', '512', '--window', '48', '--bits', '8,4,2', '--threads', '1', '-q'],
];

export async function openBench(root: string, scratch: string, short: boolean): Promise<Bench> {
  rmSync(scratch, { recursive: true, force: true });
  mkdirSync(scratch, { recursive: true });
  const model = writeTiny(join(scratch, 'model'), 2);
  const ids = writeIds(join(scratch, 'ids.jsonl'), 40);
  const leaks: string[] = [];
  const run = async (args: readonly string[], options: RunOptions): Promise<Ran> => {
    const ran = await runCommand(root, args, options);
    const inside = ran.stderr.includes(options.temporary) || /\.[0-9a-f]{8}\.tmp/.test(ran.stderr);
    if (ran.code !== 0 && inside) leaks.push(ran.stderr.trim().split('\n').at(-1) ?? '');
    return ran;
  };
  const [set, work, temporary] = [join(scratch, 'set'), join(scratch, 'work'), join(scratch, 'temporary')];
  const ran = await run(['compile', model, '-o', set, '--work', work, ...compileFlags(ids)], { temporary });
  if (ran.code !== 0) throw new Error(`the sound set cannot be compiled: ${ran.stderr}`);
  const knows = async (verb: string, flag: string): Promise<boolean> =>
    (await run([verb, '--help'], { temporary })).stdout.includes(flag);
  const { seconds } = ran;
  return { root, short, scratch, model, ids, set, work, seconds, digests: digests(set), run, knows, leaks };
}

/** What a verb is asked, with the set in `folder`/set and its output in `folder`/out; and what it answered. */
export interface Verb {
  args(bench: Bench, folder: string): readonly string[];
  /** The result without the paths of the try and without times. */
  result(ran: Ran, folder: string): unknown;
}

const filesOf = (_: Ran, folder: string): unknown => digests(join(folder, 'out'));
const cut = (standalone: readonly string[]): Verb => ({
  args: (_, folder) => [
    ...['slice', join(folder, 'set/model.json'), '--bits', '8', '-o', join(folder, 'out/q.onnx'), '-q', ...standalone],
  ],
  result: filesOf,
});

interface Scored {
  readonly candidates?: readonly { readonly nll: number; readonly kl: number; readonly top1: number }[];
}

export const VERBS: Readonly<Record<string, Verb>> = {
  eval: {
    args: ({ model, ids }, folder) => [
      ...['eval', model, join(folder, 'set/model_int8.onnx'), '--ids', ids, '--windows', '2'],
      ...['--threads', '1', '--json', '-q'],
    ],
    result: ({ stdout }) => {
      const { candidates = [] } = JSON.parse(stdout) as Scored;
      return candidates.map(({ nll, kl, top1 }) => [nll, kl, top1]);
    },
  },
  slice: cut([]),
  'slice --standalone': cut(['--standalone']),
  mix: {
    args: (_, folder) => [
      ...['mix', join(folder, 'set/model.json'), '--avg-bits', '5', '-o', join(folder, 'out/mixed.onnx'), '-q'],
    ],
    result: filesOf,
  },
  verify: {
    args: ({ model, ids }, folder) => [
      ...['verify', model, join(folder, 'set/model_int8.onnx'), '--max-kl', '1000', '--ids', ids],
      ...['--windows', '2', '--threads', '1', '--json', '-q'],
    ],
    result: ({ stdout }) => (JSON.parse(stdout) as { checks: unknown }).checks,
  },
  report: {
    args: (_, folder) => ['report', join(folder, 'set'), '-o', join(folder, 'out/page.html'), '-q'],
    result: (_, folder) => readFileSync(join(folder, 'out/page.html'), 'utf8').replaceAll(folder, ''),
  },
};

/** Runs a verb on a copy of the sound set that `change` may damage. */
export async function runVerb(bench: Bench, name: string, folder: string, change: (set: string) => void): Promise<Ran> {
  const set = join(folder, 'set');
  cpSync(bench.set, set, { recursive: true });
  mkdirSync(join(folder, 'out'), { recursive: true });
  change(set);
  return bench.run(VERBS[name]?.args(bench, folder) ?? [], { temporary: join(folder, 'temporary') });
}

/** The result of each verb on the sound set. */
export async function soundResults(bench: Bench, names: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const results = new Map<string, string>();
  for (const name of names) {
    const folder = join(bench.scratch, `sound-${name.replaceAll(/\W+/g, '-')}`);
    rmSync(folder, { recursive: true, force: true });
    const ran = await runVerb(bench, name, folder, () => {});
    if (ran.code !== 0) throw new Error(`${name} fails on the sound set: ${ran.stderr}`);
    results.set(name, resultOf(name, ran, folder));
  }
  return results;
}

export const resultOf = (name: string, ran: Ran, folder: string): string =>
  JSON.stringify(VERBS[name]?.result(ran, folder) ?? null);
