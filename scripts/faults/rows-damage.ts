/** Files that are read back are damaged: the verb refuses, or its result is that of the sound files. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fixture } from '../fuzz/target.js';
import { type Bench, compileFlags, resultOf, runVerb, soundResults, VERBS } from './bench.js';
import { DAMAGES, type Damage, damage, dataOf, digests, isSame } from './folders.js';
import { fault, judge, RIGHT, type Row, refused, sayOf, silent, skipped, spread, type Try } from './verdict.js';

const verbs = Object.keys(VERBS);

/** Every verb on a copy of the set in which one file is damaged at some places. */
function damaged(
  bench: Bench,
  names: readonly string[],
  file: (set: string) => string,
  how: Damage,
  count: number,
): readonly Try[] {
  const sound = soundResults(bench, names);
  return names.flatMap((verb) =>
    spread(count).map((at) => ({
      name: `${verb} at ${(100 * at).toFixed(1)} %`,
      run: async (folder) => {
        const expected = (await sound).get(verb);
        const ran = await runVerb(bench, verb, folder, (set) => damage(file(set), how, at));
        return judge(ran, () => resultOf(verb, ran, folder) === expected);
      },
    })),
  );
}

const data = (set: string): string => dataOf(join(set, 'model.json'));
const graph = (set: string): string => join(set, 'model_int8.onnx');
const manifest = (set: string): string => join(set, 'model.json');
const reportFile = (set: string): string => join(set, 'model.report.json');

const flips = (verb: string): Row => ({
  group: 'data',
  name: `bit flips in the data file: ${verb}`,
  tries: (bench) => damaged(bench, [verb], data, DAMAGES.flip, bench.short ? 2 : 60),
});

const ofSet = (
  name: string,
  file: (set: string) => string,
  how: keyof typeof DAMAGES,
  count: number,
  without: readonly string[] = [],
): Row => ({
  group: 'set',
  name,
  tries: (bench) =>
    damaged(
      bench,
      bench.short ? ['eval', 'slice --standalone'] : verbs.filter((verb) => !without.includes(verb)),
      file,
      DAMAGES[how],
      bench.short ? 1 : count,
    ),
});

/** Files of work are damaged between two compilations: the second gives the same set. */
function reused(
  bench: Bench,
  base: string,
  expected: object,
  again: (work: string, set: string) => readonly string[],
  count: number,
): readonly Try[] {
  const files = Object.keys(digests(base));
  const ways = Object.entries(DAMAGES);
  return spread(count).map((at, index) => {
    const file = files[(index * 7) % files.length] as string;
    const [how, change] = ways[index % 5 === 4 ? 1 + (((index / 5) % 4) | 0) : 0] as [string, Damage];
    return {
      name: `${how} of ${file.replace(/[0-9a-f]{16,}/g, '…')} at ${(100 * at).toFixed(0)} %`,
      run: async (folder: string) => {
        const [work, set] = [join(folder, 'work'), join(folder, 'set')];
        cpSync(base, work, { recursive: true });
        damage(join(work, file), change, at);
        const ran = await bench.run(again(work, set), { temporary: join(folder, 'temporary') });
        return judge(ran, () => isSame(digests(set), expected));
      },
    };
  });
}

/** Compiles once more with the flags of a row; gives the folder that the row damages and the sound set's digests. */
async function learned(
  bench: Bench,
  model: string,
  name: string,
  flags: readonly string[],
): Promise<{ work: string; sound: object }> {
  const [work, set] = [join(bench.scratch, `${name}-work`), join(bench.scratch, `${name}-set`)];
  const args = ['compile', model, '-o', set, '--work', work, ...compileFlags(bench.ids), ...flags];
  const ran = await bench.run(args, { temporary: join(bench.scratch, 'temporary') });
  if (ran.code !== 0) throw new Error(`the compilation of ${name} fails: ${ran.stderr}`);
  return { work, sound: digests(set) };
}

const workFiles = (name: string, flags: readonly string[], count: number, isShort: boolean): Row => ({
  group: 'work',
  name: `damaged files of --work: ${name}`,
  tries: async (bench) => {
    if (bench.short && !isShort) return [];
    // There is no gradient of the generated model's attention.
    const model = name === 'best+' ? fixture('models/mistral-656k/model.onnx') : bench.model;
    const { work, sound } = await learned(bench, model, name, flags);
    const again = (folder: string, set: string): readonly string[] => [
      ...['compile', model, '-o', set, '--work', folder, ...compileFlags(bench.ids), ...flags],
    ];
    return reused(bench, work, sound, again, bench.short ? 4 : count);
  },
});

const statistics: Row = {
  group: 'work',
  name: 'damaged files of --statistics',
  tries: async (bench) => {
    const captured = join(bench.scratch, 'captured');
    const temporary = join(bench.scratch, 'temporary');
    const text = compileFlags(bench.ids).slice(0, 8);
    const made = await bench.run(['capture', bench.model, '-o', captured, ...text, '--threads', '1', '-q'], {
      temporary,
    });
    if (made.code !== 0) throw new Error(`capture fails: ${made.stderr}`);
    const compiled = (from: string, set: string): readonly string[] => [
      ...['compile', bench.model, '-o', set, '--statistics', from, '--bits', '8,4,2', '--threads', '1', '-q'],
    ];
    const sound = join(bench.scratch, 'captured-set');
    const ran = await bench.run(compiled(captured, sound), { temporary });
    if (ran.code !== 0) throw new Error(`compile --statistics fails: ${ran.stderr}`);
    return reused(bench, captured, digests(sound), compiled, bench.short ? 2 : 30);
  },
};

/** A change of any bit of any file of the set is a finding. */
const everyBit: Row = {
  group: 'data',
  name: 'bit flips in all files of a set: verify --digests',
  tries: async (bench) => {
    const notice = { name: 'all', run: async () => skipped('this build has no verify --digests') };
    if (!(await bench.knows('verify', '--digests'))) return [notice];
    const files = Object.keys(bench.digests);
    return spread(bench.short ? 3 : 60).map((at, index) => {
      const file = files[index % files.length] as string;
      return {
        name: `${file} at ${(100 * at).toFixed(1)} %`,
        run: async (folder) => {
          const set = join(folder, 'set');
          cpSync(bench.set, set, { recursive: true });
          damage(join(set, file), DAMAGES.flip, at);
          const temporary = join(folder, 'temporary');
          const ran = await bench.run(['verify', '--digests', join(set, 'model.json'), '-q'], { temporary });
          if (ran.code === 3 || refused(ran)) return RIGHT;
          return ran.code === 0 ? silent('exit code 0') : fault(sayOf(ran));
        },
      };
    });
  },
};

export const damageRows: readonly Row[] = [
  ...verbs.map(flips),
  everyBit,
  // A page may say that a set is cut: a shorter file is a smaller model.
  ofSet('data file cut', data, 'cut', 5, ['report']),
  ofSet('4 KiB of zeros in the data file', data, 'zeros', 5),
  ofSet('bit flips in a graph', graph, 'flip', 10),
  ofSet('graph cut', graph, 'cut', 3),
  ofSet('bit flips in the manifest', manifest, 'flip', 10),
  ofSet('manifest cut', manifest, 'cut', 3),
  ofSet('bit flips in the file of the report', reportFile, 'flip', 5),
  workFiles('best', [], 60, true),
  workFiles('tuned', ['--preset', 'tuned', '--steps', '2'], 20, false),
  workFiles('best+', ['--preset', 'best+', '--steps', '2'], 15, false),
  statistics,
];
