/** What is said: refusals of things that mean nothing, messages without temporary paths, help that fits a terminal. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bench } from './bench.js';
import { DAMAGES, damage, dataOf } from './folders.js';
import { fault, mustRefuse, RIGHT, type Row, sayOf, silent, type Try } from './verdict.js';

const HELP_COLUMNS = 80;
const VERBS = ['compile', 'capture', 'inspect', 'slice', 'mix', 'eval', 'verify', 'report', 'append', 'sweep'];

const help: Row = {
  group: 'message',
  name: `help fits ${HELP_COLUMNS} columns`,
  tries: (bench) =>
    VERBS.slice(0, bench.short ? 1 : VERBS.length).map((verb) => ({
      name: verb,
      run: async (folder) => {
        const ran = await bench.run([verb, '--help'], { temporary: join(folder, 'temporary'), env: { COLUMNS: '80' } });
        const wide = ran.stdout.split('\n').filter((line) => line.length > HELP_COLUMNS).length;
        return wide === 0 && ran.code === 0 ? RIGHT : fault(`${wide} lines are wider`);
      },
    })),
};

/** A manifest with one field changed is refused by slice. */
const manifest = (bench: Bench, name: string, change: (manifest: Record<string, unknown>) => void): Try => ({
  name,
  run: async (folder) => {
    cpSync(bench.set, join(folder, 'set'), { recursive: true });
    const path = join(folder, 'set/model.json');
    const parsed = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>;
    change(parsed);
    writeFileSync(path, JSON.stringify(parsed));
    const args = ['slice', path, '--bits', '4', '-o', join(folder, 'out/q.onnx'), '-q'];
    return mustRefuse(await bench.run(args, { temporary: join(folder, 'temporary') }));
  },
});

const meaningless: Row = {
  group: 'message',
  name: 'requests that mean nothing are refused',
  tries: (bench) => {
    const asked = (name: string, args: readonly string[]): Try => ({
      name,
      run: async (folder) => {
        const whole = args.map((each) => each.replace('OUT', join(folder, 'out')));
        return mustRefuse(await bench.run(whole, { temporary: join(folder, 'temporary') }));
      },
    });
    const set = join(bench.set, 'model.json');
    const tries = [
      asked('mix --avg-bits 99', ['mix', set, '--avg-bits', '99', '-o', 'OUT/m.onnx', '-q']),
      manifest(bench, 'a data name of 10,000 characters', (each) => {
        each['data'] = 'x'.repeat(10_000);
      }),
      asked('mix --avg-bits 0', ['mix', set, '--avg-bits', '0', '-o', 'OUT/m.onnx', '-q']),
      asked('slice --bits 5 of a set without it', ['slice', set, '--bits', '5', '-o', 'OUT/m.onnx', '-q']),
      manifest(bench, 'a data name with a NUL', (each) => {
        each['data'] = 'a\0b';
      }),
      asked('best without text', ['compile', bench.model, '--preset', 'best', '-o', 'OUT', '-q']),
    ];
    return bench.short ? tries.slice(0, 2) : tries;
  },
};

/** A model whose data file is damaged: a message that names the set, and does not ask for the original. */
const named: Row = {
  group: 'message',
  name: 'eval of a set that is cut names the set',
  tries: (bench) => [
    {
      name: 'data file cut by half',
      run: async (folder) => {
        const set = join(folder, 'set');
        cpSync(bench.set, set, { recursive: true });
        damage(dataOf(join(set, 'model.json')), DAMAGES.cut, 0.5);
        const args = ['eval', bench.model, join(set, 'model_int8.onnx'), '--ids', bench.ids, '--windows', '1', '-q'];
        const ran = await bench.run(args, { temporary: join(folder, 'temporary') });
        if (ran.code === 0) return silent('exit code 0');
        if (ran.code !== 2 || !ran.stderr.includes(set)) return fault(sayOf(ran));
        return ran.stderr.includes('original model') ? fault('it asks for the original model') : RIGHT;
      },
    },
  ],
};

/** Looks at the messages of all commands before it, so it is the last row. */
export const leaks: Row = {
  group: 'message',
  name: 'messages of all other rows name no temporary path',
  tries: ({ leaks: found }) => [
    {
      name: 'all messages',
      run: async () => (found.length === 0 ? RIGHT : fault(`${found.length} do, such as: ${found[0]?.slice(0, 160)}`)),
    },
  ],
};

export const messageRows: readonly Row[] = [help, meaningless, named];
