/** Inputs that change under way, and outputs that would take the place of an input. */
import {
  appendFileSync,
  cpSync,
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { type Bench, compileFlags } from './bench.js';
import { DAMAGES, damage, digests, isSame } from './folders.js';
import {
  all,
  fault,
  mustRefuse,
  RIGHT,
  type Row,
  refused,
  sayOf,
  silent,
  spread,
  type Try,
  type Verdict,
} from './verdict.js';

const dataName = 'model.onnx.data';

/** What happens to the data file of the input while the command runs. */
const CHANGES: Readonly<Record<string, (path: string) => void>> = {
  'overwritten in place': (path) => {
    const descriptor = new Uint8Array(readFileSync(path));
    writeFileSync(path, descriptor.fill(0, descriptor.length / 4, descriptor.length / 2), { flag: 'r+' });
  },
  replaced: (path) => {
    cpSync(path, `${path}.new`);
    damage(`${path}.new`, DAMAGES.zeros, 0.4);
    renameSync(`${path}.new`, path);
  },
  truncated: (path) => truncateSync(path, 100_000),
  removed: (path) => rmSync(path),
  appended: (path) => appendFileSync(path, 'more'),
};

const compileIn = (bench: Bench, folder: string): readonly string[] => [
  'compile',
  join(folder, 'model/model.onnx'),
  '-o',
  join(folder, 'set'),
  ...compileFlags(bench.ids),
];

/** The set is that of the input before or after the change, whole, or the change is reported. */
function changing(bench: Bench, what: string, at: number): Try {
  const change = CHANGES[what] as (path: string) => void;
  return {
    name: `${what} at ${(100 * at).toFixed(0)} %`,
    run: async (folder) => {
      const [model, temporary] = [join(folder, 'model'), join(folder, 'temporary')];
      cpSync(dirname(bench.model), model, { recursive: true });
      const act = (): void => change(join(model, dataName));
      const ran = await bench.run(compileIn(bench, folder), {
        temporary,
        meanwhile: { after: at * bench.seconds, act },
      });
      if (refused(ran)) return RIGHT;
      if (ran.code !== 0) return fault(sayOf(ran));
      const got = digests(join(folder, 'set'));
      if (isSame(got, bench.digests)) return RIGHT;
      const after = await bench.run(compileIn(bench, folder), { temporary });
      if (after.code === 0 && isSame(got, digests(join(folder, 'set')))) return RIGHT;
      return silent('a set of neither the input before nor the one after');
    },
  };
}

const underWay: Row = {
  group: 'input',
  name: 'input changed under way',
  tries: (bench) =>
    spread(bench.short ? 2 : 8).flatMap((at) =>
      Object.keys(CHANGES)
        .slice(0, bench.short ? 2 : 5)
        .map((what) => changing(bench, what, 0.2 + 0.8 * at)),
    ),
};

/** Files of a folder stay what they were while a command runs that must be refused. */
async function untouched(bench: Bench, folder: string, args: readonly string[]): Promise<Verdict> {
  const before = digests(join(folder, 'in'));
  const ran = await bench.run(args, { temporary: join(folder, 'temporary') });
  const after = digests(join(folder, 'in'));
  const lost = Object.keys(before).filter((file) => before[file] !== after[file]);
  if (lost.length > 0) return fault(`lost: ${lost.join(', ')} (${ran.code === 0 ? 'exit code 0' : sayOf(ran)})`);
  return mustRefuse(ran);
}

/** The model under other names in `folder`/in. */
function named(bench: Bench, folder: string, graph: string, data: string): string {
  const inside = join(folder, 'in');
  mkdirSync(inside, { recursive: true });
  if (data.length !== dataName.length) throw new RangeError('the name of the data file is replaced in place');
  const bytes = readFileSync(bench.model).toString('latin1').replaceAll(dataName, data);
  writeFileSync(join(inside, graph), Buffer.from(bytes, 'latin1'));
  cpSync(join(dirname(bench.model), dataName), join(inside, data));
  return join(inside, graph);
}

const free = ['--preset', 'data-free', '--bits', '8,2', '--threads', '1', '-q'] as const;

const OVER: Readonly<Record<string, (bench: Bench, folder: string) => readonly string[]>> = {
  'the graph of a precision is the input': (bench, folder) => [
    ...[
      'compile',
      named(bench, folder, 'model_int8.onnx', dataName),
      '-o',
      join(folder, 'in'),
      '--name',
      'model',
      ...free,
    ],
  ],
  'the manifest is the tokens': (bench, folder) => {
    const model = named(bench, folder, 'model.onnx', dataName);
    cpSync(bench.ids, join(folder, 'in/m.json'));
    const text = ['--ids', join(folder, 'in/m.json'), '--tokens', '256', '--window', '48', '--bits', '8,2', '-q'];
    return ['compile', model, '-o', join(folder, 'in'), '--name', 'm', ...text];
  },
  'a graph of the set is a hard link to the input': (bench, folder) => {
    const model = named(bench, folder, 'model.onnx', dataName);
    linkSync(model, join(folder, 'in/m_int8.onnx'));
    return ['compile', model, '-o', join(folder, 'in'), '--name', 'm', ...free];
  },
  'the folder is a link to the folder of the input': (bench, folder) => {
    const model = named(bench, folder, 'm_int2.onnx', dataName);
    symlinkSync(join(folder, 'in'), join(folder, 'link'));
    return ['compile', model, '-o', join(folder, 'link'), '--name', 'm', ...free];
  },
  'a slice on an unrelated model': (bench, folder) => {
    const model = named(bench, folder, 'model.onnx', dataName);
    return ['slice', join(bench.set, 'model.json'), '--bits', '4', '-o', model, '--standalone', '-q'];
  },
  'a slice on its own manifest': (bench, folder) => {
    cpSync(bench.set, join(folder, 'in'), { recursive: true });
    return ['slice', join(folder, 'in/model.json'), '--bits', '4', '-o', join(folder, 'in/model.json'), '-q'];
  },
  'a report on a graph': (bench, folder) => {
    cpSync(bench.set, join(folder, 'in'), { recursive: true });
    return ['report', join(folder, 'in'), '-o', join(folder, 'in/model_int8.onnx'), '-q'];
  },
};

const over: Row = {
  group: 'output',
  name: 'output over an input or an unrelated model',
  tries: (bench) => [
    dataOver(bench),
    ...Object.entries(OVER).map(([name, prepare]) => ({
      name,
      run: (folder: string) => untouched(bench, folder, prepare(bench, folder)),
    })),
  ],
};

/** The data file of the input has the name that a set's would have: refused, or written under another one. */
function dataOver(bench: Bench): Try {
  return {
    name: 'the data file of the set is that of the input',
    run: async (folder) => {
      const model = named(bench, folder, 'model_of_.onnx', 'model_of_a.data');
      const before = digests(join(folder, 'in'));
      const args = ['compile', model, '-o', join(folder, 'in'), '--name', 'model_of_a', ...free];
      const ran = await bench.run(args, { temporary: join(folder, 'temporary') });
      const after = digests(join(folder, 'in'));
      const lost = Object.keys(before).filter((file) => before[file] !== after[file]);
      if (lost.length > 0) return fault(`lost: ${lost.join(', ')} (exit code ${ran.code})`);
      return ran.code === 0 || refused(ran) ? RIGHT : fault(sayOf(ran));
    },
  };
}

const NAMES = ['../x', 'a/b', '..', '.', '', '/x', 'x/../../y', 'a\\b', 'x'.repeat(400)];

/** A name that is no file name: refused, and nothing written anywhere. */
const outside: Row = {
  group: 'output',
  name: 'names that leave the output folder',
  tries: (bench) =>
    NAMES.slice(0, bench.short ? 3 : NAMES.length).map((name) => ({
      name: `--name ${name.slice(0, 20)}`,
      run: async (folder) => {
        writeFileSync(join(folder, 'x.data'), 'precious');
        const before = digests(folder)['x.data'];
        const args = ['compile', bench.model, '-o', join(folder, 'set'), '--name', name, ...free];
        const ran = await bench.run(args, { temporary: join(folder, 'temporary') });
        const { 'x.data': kept, ...others } = digests(folder);
        const extra = Object.keys(others).filter((file) => !file.startsWith('temporary'));
        const written = extra.length === 0 ? RIGHT : fault(`written: ${extra.slice(0, 3).join(', ')}`);
        return all(written, kept === before ? RIGHT : fault('a file was lost'), mustRefuse(ran));
      },
    })),
};

export const inputRows: readonly Row[] = [underWay, over, outside];
