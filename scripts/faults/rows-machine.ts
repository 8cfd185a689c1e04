/** Small disks, folders that cannot be written, absurd numbers, and what stays open. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Bench, compileFlags } from './bench.js';
import { runNode } from './command.js';
import { digests, isSame, temporaries } from './folders.js';
import {
  all,
  fault,
  mustRefuse,
  nothingLeft,
  RIGHT,
  type Row,
  refused,
  sayOf,
  skipped,
  type Try,
  type Verdict,
} from './verdict.js';

/** Runs `use` with a file system of its own in `folder`; skipped where that is not allowed. */
async function onSmallDisk(folder: string, options: string, use: () => Promise<Verdict>): Promise<Verdict> {
  mkdirSync(folder, { recursive: true });
  const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', folder]);
  if (mounted.status !== 0) return skipped('a file system cannot be mounted here (root on Linux is needed)');
  try {
    return await use();
  } finally {
    spawnSync('umount', [folder]);
  }
}

/** A command that has no room: refused, and nothing of it left there. */
function noRoom(bench: Bench, name: string, kilobytes: number, args: (disk: string) => readonly string[]): Try {
  return {
    name: `${name}, ${kilobytes} KB`,
    run: (folder) => {
      const disk = join(folder, 'disk');
      return onSmallDisk(disk, `size=${kilobytes}k`, async () => {
        const ran = await bench.run(args(disk), { temporary: join(folder, 'temporary') });
        const left = [...temporaries(disk), ...Object.keys(digests(join(disk, 'out')))];
        return all(mustRefuse(ran), nothingLeft(left));
      });
    },
  };
}

const disk: Row = {
  group: 'disk',
  name: 'no room on the disk',
  tries: (bench) => {
    const compile = (at: string): readonly string[] => [
      'compile',
      bench.model,
      '-o',
      join(at, 'out'),
      ...compileFlags(bench.ids),
    ];
    const slice = (at: string): readonly string[] => [
      ...['slice', join(bench.set, 'model.json'), '--bits', '8', '-o', join(at, 'out/q.onnx'), '--standalone', '-q'],
    ];
    const report = (at: string): readonly string[] => ['report', bench.set, '-o', join(at, 'out/page.html'), '-q'];
    const sizes = bench.short ? [400] : [40, 400, 700, 800];
    return [
      ...sizes.map((size) => noRoom(bench, 'compile', size, compile)),
      noRoom(bench, 'slice', 300, slice),
      ...(bench.short ? [] : [noRoom(bench, 'report', 8, report), noRoom(bench, 'slice', 700, slice)]),
    ];
  },
};

/** --work that cannot be used: refused, or done without it; the set is right. */
const work: Row = {
  group: 'disk',
  name: '--work is a file, read-only or full',
  tries: (bench) => {
    const compile = async (folder: string, place: string): Promise<Verdict> => {
      const [set, temporary] = [join(folder, 'set'), join(folder, 'temporary')];
      const ran = await bench.run(['compile', bench.model, '-o', set, '--work', place, ...compileFlags(bench.ids)], {
        temporary,
      });
      if (refused(ran)) return RIGHT;
      return ran.code === 0 && isSame(digests(set), bench.digests) ? RIGHT : fault(sayOf(ran));
    };
    const mounted = (name: string, options: string): Try => ({
      name,
      run: (folder) => onSmallDisk(join(folder, 'disk'), options, () => compile(folder, join(folder, 'disk/work'))),
    });
    const file: Try = {
      name: 'a file',
      run: async (folder) => {
        writeFileSync(join(folder, 'file'), 'x');
        return compile(folder, join(folder, 'file'));
      },
    };
    return bench.short ? [file] : [file, mounted('read-only', 'size=9m,ro'), mounted('full', 'size=60k')];
  },
};

/** Output that cannot be made: refused, and what is in its place stays. */
const place: Row = {
  group: 'output',
  name: '-o is a file, or lies below one',
  tries: (bench) =>
    ['file', 'file/deep'].slice(0, bench.short ? 1 : 2).map((name) => ({
      name,
      run: async (folder) => {
        writeFileSync(join(folder, 'file'), 'precious');
        const before = digests(folder);
        const args = ['compile', bench.model, '-o', join(folder, name), ...compileFlags(bench.ids)];
        const ran = await bench.run(args, { temporary: join(folder, 'temporary') });
        const kept = existsSync(join(folder, 'file')) && digests(folder)['file'] === before['file'];
        return all(kept ? RIGHT : fault('the file is lost'), mustRefuse(ran));
      },
    })),
};

const ABSURD: readonly (readonly string[])[] = [
  ['--threads', '100000'],
  ['--threads', '0'],
  ['--threads', '-1'],
  ['--threads', '1e9'],
  ['--memory', '1'],
  ['--bits', '4,4'],
  ['--bits', '9'],
  ['--seed', 'x'],
  ['--block', '33'],
  ['--tokens', '0'],
  ['--window', '1'],
];

/** Absurd numbers: a refusal in seconds, or the same set; never more than 2 GiB. */
const absurd: Row = {
  group: 'option',
  name: 'absurd values of flags',
  tries: (bench) =>
    ABSURD.slice(0, bench.short ? 2 : ABSURD.length).map((flags) => ({
      name: flags.join(' '),
      run: async (folder) => {
        const kept = compileFlags(bench.ids).join('\n').split('\n');
        const own = kept.indexOf(flags[0] as string);
        if (own >= 0) kept.splice(own, 2);
        const set = join(folder, 'set');
        const limits = { limitSeconds: 60, limitBytes: 2 * 2 ** 30 };
        const ran = await bench.run(['compile', bench.model, '-o', set, ...kept, ...flags], {
          temporary: join(folder, 'temporary'),
          ...limits,
        });
        if (refused(ran)) return RIGHT;
        if (ran.ended)
          return fault(`stopped after ${ran.seconds.toFixed(0)} s with ${(ran.peakBytes / 2 ** 30).toFixed(1)} GiB`);
        if (ran.code !== 0) return fault(sayOf(ran));
        return flags[0] === '--threads' && isSame(digests(set), bench.digests) ? RIGHT : fault('accepted');
      },
    })),
};

const LIBRARY = fileURLToPath(new URL('./library.js', import.meta.url));

/** Runs `library.js` in a process of its own; each line that it prints is one try. */
const library = (name: string, what: string): Row => ({
  group: 'library',
  name,
  tries: async (bench) => {
    const args = [LIBRARY, bench.root, what, bench.model, bench.ids, bench.scratch];
    const ran = await runNode(args, { temporary: join(bench.scratch, 'temporary'), limitBytes: 2 * 2 ** 30 });
    const lines = ran.stdout.split('\n').filter((line) => line.startsWith('{'));
    const tries = lines.map((line): Try => {
      const { name: each, how } = JSON.parse(line) as { name: string; how: string };
      return { name: each, run: async () => (how === 'right' ? RIGHT : how === 'skipped' ? skipped(how) : fault(how)) };
    });
    return ran.code === 0 ? tries : [...tries, { name: 'the process', run: async () => fault(sayOf(ran)) }];
  },
});

export const machineRows: readonly Row[] = [
  disk,
  work,
  place,
  absurd,
  library('wrong options of compile() are refused', 'options'),
  library('no descriptor stays open after compile()', 'descriptors'),
];
