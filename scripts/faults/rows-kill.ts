/** Commands that are killed or interrupted: what is visible is old or new, and the next run is not disturbed. */
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { here } from '../fuzz/target.js';
import { type Bench, compileFlags, resultOf, soundResults, VERBS } from './bench.js';
import type { RunOptions } from './command.js';
import { digests, isSame, leftIn, temporaries } from './folders.js';
import {
  all,
  fault,
  nothingLeft,
  RIGHT,
  type Row,
  refused,
  sayOf,
  silent,
  some,
  spread,
  type Try,
  type Verdict,
} from './verdict.js';

const HOOK = join(here, 'scripts/faults/hook.cjs');
const hooked = (env: Readonly<Record<string, string>>): Readonly<Record<string, string>> => ({
  ...env,
  NODE_OPTIONS: `--require ${HOOK}`,
});

const compileTo = (bench: Bench, folder: string, block?: number): readonly string[] => [
  ...['compile', bench.model, '-o', join(folder, 'set'), '--work', join(folder, 'work')],
  ...compileFlags(bench.ids, block),
];

/** Runs the command again after a kill: the same set, and no temporary folder of either run. */
async function again(bench: Bench, folder: string): Promise<Verdict> {
  const temporary = join(folder, 'temporary');
  const ran = await bench.run(compileTo(bench, folder), { temporary });
  if (ran.code !== 0) return fault(`the next run fails: ${sayOf(ran)}`);
  const got = digests(join(folder, 'set'));
  const missing = Object.entries(bench.digests).filter(([name, digest]) => got[name] !== digest);
  return missing.length === 0 ? RIGHT : silent(`the next run gives other files: ${missing.map(([name]) => name)}`);
}

/** Nothing of the set is visible, or all of it. */
const wholeOrNone = (bench: Bench, folder: string): Verdict => {
  const seen = digests(join(folder, 'set'));
  const whole = Object.keys(seen).length === 0 || isSame(seen, bench.digests);
  return whole ? RIGHT : silent(`part of a set is visible: ${Object.keys(seen)}`);
};

const killed: Row = {
  group: 'kill',
  name: 'SIGKILL of compile at an instant, then again',
  tries: (bench) =>
    spread(bench.short ? 2 : 26).map((at) => ({
      name: `at ${(100 * at).toFixed(0)} %`,
      run: async (folder) => {
        const temporary = join(folder, 'temporary');
        await bench.run(compileTo(bench, folder), { temporary, after: at * bench.seconds });
        const visible = wholeOrNone(bench, folder);
        return all(visible, await again(bench, folder));
      },
    })),
};

const leftovers: Row = {
  group: 'kill',
  name: 'what killed runs left is removed by the next',
  tries: async (bench) => {
    const calls = await callsOf(bench, bench.short ? 2 : 6);
    const instants: readonly (readonly [string, Partial<RunOptions>])[] = [
      ...calls.map((call) => [`call ${call}`, { env: hooked({ FAULT: `${call}:before` }) }] as const),
      ...spread(bench.short ? 1 : 10).map(
        (at) => [`at ${(100 * at).toFixed(0)} %`, { after: at * bench.seconds }] as const,
      ),
    ];
    return instants.map(([name, how]) => ({
      name,
      run: async (folder) => {
        const temporary = join(folder, 'temporary');
        await bench.run(compileTo(bench, folder), { temporary, ...how });
        const ran = await bench.run(compileTo(bench, folder), { temporary });
        const left = [...temporaries(folder), ...leftIn(temporary)];
        if (ran.code !== 0) return fault(sayOf(ran));
        return nothingLeft(left);
      },
    }));
  },
};

/** Numbers of some calls of a compilation into a new folder, the work folder's among them. */
async function callsOf(bench: Bench, count: number): Promise<readonly number[]> {
  const log = join(bench.scratch, 'fresh.log');
  const fresh = join(bench.scratch, 'fresh');
  await bench.run(compileTo(bench, fresh), {
    temporary: join(bench.scratch, 'temporary'),
    env: hooked({ FAULT_LOG: log }),
  });
  const calls = readFileSync(log, 'utf8').trim().split('\n').length;
  return spread(count).map((at) => 1 + Math.floor(at * calls));
}

const interrupted = (signal: NodeJS.Signals): Row => ({
  group: 'signal',
  name: `${signal} to compile at an instant`,
  tries: (bench) =>
    spread(bench.short ? 2 : 12).map((at) => ({
      name: `at ${(100 * at).toFixed(0)} %`,
      run: async (folder) => {
        const temporary = join(folder, 'temporary');
        const ran = await bench.run(compileTo(bench, folder), { temporary, after: at * bench.seconds, signal });
        // Before the program listens, the signal ends it as it ends any other.
        if (ran.code !== 130 && ran.code !== 0 && ran.signal !== signal) return fault(sayOf(ran));
        const left = [...temporaries(folder), ...leftIn(temporary)];
        return all(nothingLeft(left), wholeOrNone(bench, folder));
      },
    })),
});

/** Block of the older set that is published over: its data file is shorter, so that its graphs load with the new one. */
const OLDER = 128;

/** Numbers of the calls that put files in their final places in `folder`, and of some others, `count` at most. */
function publishing(log: string, folder: string, count: number): readonly number[] {
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  const calls = lines.map((line) => line.split(' ')).filter(([, , target]) => target?.startsWith(folder));
  const final = calls.filter(([, , target]) => !target?.includes('.tmp') && !target?.includes('/work/'));
  const others = calls.filter((call) => !final.includes(call));
  const chosen = some(final, count);
  return [...chosen, ...some(others, count - chosen.length)].map(([number]) => Number(number));
}

/**
 * Every model of the set computes what it did before or what it is to do now, by its own graph and through the manifest, or is refused;
 * the next compilation gives the new set.
 */
const overOlder: Row = {
  group: 'rename',
  name: 'SIGKILL before or after a rename or sync while compile replaces a set',
  tries: async (bench) => {
    const temporary = join(bench.scratch, 'temporary');
    const older = join(bench.scratch, 'older');
    await bench.run(compileTo(bench, older, OLDER), { temporary });
    const log = join(bench.scratch, 'calls.log');
    const trial = join(bench.scratch, 'trial');
    mkdirSync(trial);
    cpSync(join(older, 'set'), join(trial, 'set'), { recursive: true });
    await bench.run(compileTo(bench, trial), { temporary, env: hooked({ FAULT_LOG: log }) });
    const names = ['eval', 'slice --standalone'];
    const newer = await soundResults(bench, names);
    const old = await soundResults(
      { ...bench, scratch: join(bench.scratch, 'of-older'), set: join(older, 'set') },
      names,
    );
    const known = names.map((name) => [old.get(name), newer.get(name)]);
    const calls = publishing(log, trial, bench.short ? 2 : 20);
    return calls.flatMap((call) =>
      (['before', 'after'] as const).map((side) => overOne(bench, older, `${call}:${side}`, names, known)),
    );
  },
};

function overOne(
  bench: Bench,
  older: string,
  instant: string,
  names: readonly string[],
  known: readonly (readonly (string | undefined)[])[],
): Try {
  return {
    name: `call ${instant}`,
    run: async (folder) => {
      cpSync(join(older, 'set'), join(folder, 'set'), { recursive: true });
      const temporary = join(folder, 'temporary');
      await bench.run(compileTo(bench, folder), { temporary, env: hooked({ FAULT: instant }) });
      const verdicts: Verdict[] = [];
      for (const [at, name] of names.entries()) {
        const ran = await bench.run(VERBS[name]?.args(bench, folder) ?? [], { temporary });
        if (refused(ran)) continue;
        if (ran.code !== 0) verdicts.push(fault(`${name}: ${sayOf(ran)}`));
        else if (!known[at]?.includes(resultOf(name, ran, folder)))
          verdicts.push(silent(`${name} gives neither old nor new`));
      }
      return all(...verdicts, await again(bench, folder));
    },
  };
}

/** A self-contained model over an older one of the same name: old, new, or a refusal until it is cut again. */
const overModel: Row = {
  group: 'rename',
  name: 'SIGKILL before or after a rename or sync while slice --standalone replaces a model',
  tries: async (bench) => {
    const temporary = join(bench.scratch, 'temporary');
    const may = (await bench.knows('slice', '--overwrite')) ? ['--overwrite'] : [];
    const cut = (folder: string, bits: number): readonly string[] => [
      ...['slice', join(bench.set, 'model.json'), '--bits', String(bits), '-o', join(folder, 'set/model_int8.onnx')],
      ...['--standalone', '-q', ...may],
    ];
    const [trial, log] = [join(bench.scratch, 'cut'), join(bench.scratch, 'cut.log')];
    const results: string[] = [];
    for (const [bits, env] of [
      [2, {}],
      [4, hooked({ FAULT_LOG: log })],
    ] as const) {
      await bench.run(cut(trial, bits), { temporary, env });
      const ran = await bench.run(VERBS['eval']?.args(bench, trial) ?? [], { temporary });
      results.push(resultOf('eval', ran, trial));
    }
    return publishing(log, trial, bench.short ? 1 : 6).flatMap((call) =>
      (['before', 'after'] as const).map((side) => ({
        name: `call ${call}:${side}`,
        run: async (folder: string) => {
          const place = join(folder, 'temporary');
          await bench.run(cut(folder, 2), { temporary: place });
          await bench.run(cut(folder, 4), { temporary: place, env: hooked({ FAULT: `${call}:${side}` }) });
          const ran = await bench.run(VERBS['eval']?.args(bench, folder) ?? [], { temporary: place });
          if (ran.code === 2) return RIGHT;
          if (ran.code !== 0) return fault(sayOf(ran));
          return results.includes(resultOf('eval', ran, folder)) ? RIGHT : silent('neither old nor new');
        },
      })),
    );
  },
};

export const killRows: readonly Row[] = [
  killed,
  leftovers,
  interrupted('SIGINT'),
  interrupted('SIGTERM'),
  overOlder,
  overModel,
];
