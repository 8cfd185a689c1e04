/** Input files that change while they are read, descriptors that stay open, and system calls that transfer little at a time. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { type Context, silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { COMPILE } from '../support/compile.js';
import { root as project, temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { gemma3, heldWindows, writeIds } from '../support/stories.js';

const root = temporaryFolder();
const ids = join(root, 'ids.jsonl');
const recipe = parseRecipe({ method: 'gptq', block: 64, bits: [8, 2], tokens: 256, window: 64 }, 'test');
afterAll(() => rmSync(root, { recursive: true }));
beforeAll(() => {
  writeIds(
    ids,
    heldWindows(4).map((window) => window.slice(0, 64)),
  );
});

/** A copy of the model and its text in a folder of their own. */
const copied = (name: string): { readonly model: string; readonly data: string; readonly text: string } => {
  const folder = join(root, name);
  cpSync(dirname(gemma3), folder, { recursive: true });
  copyFileSync(ids, join(folder, 'ids.jsonl'));
  const model = join(folder, 'model.onnx');
  return { model, data: `${model}.data`, text: join(folder, 'ids.jsonl') };
};

const compiled = (
  name: string,
  model: string,
  text: string,
  context: Context = silentContext(),
): Promise<CompileResult> =>
  compile({ ...COMPILE, model, output: join(root, `${name}.out`), recipe, text: { ids: text } }, context);

const zeros = (path: string): void => writeFileSync(path, Buffer.alloc(4096), { flag: 'r+' });
const CHANGES: Record<string, (path: string) => void> = {
  'overwritten in place': zeros,
  'replaced by an equal file': (path) => {
    copyFileSync(path, `${path}.new`);
    renameSync(`${path}.new`, path);
  },
  truncated: (path) => truncateSync(path, 2000),
  removed: (path) => rmSync(path),
  longer: (path) => appendFileSync(path, '\n'),
};

jest.setTimeout(300_000);

describe('a compilation whose input is', () => {
  it.each(Object.keys(CHANGES))('%s ends with input-changed and writes nothing', async (how) => {
    for (const stage of ['at once', 'capture', 'solve']) {
      const parts = stage === 'capture' ? (['model', 'data', 'text'] as const) : (['data'] as const);
      for (const part of parts) {
        const name = `${how} ${stage} ${part}`;
        const files = copied(name);
        let isDone = false;
        const change = (): void => {
          if (!isDone) CHANGES[how]?.(files[part]);
          isDone = true;
        };
        const progress = { update: (update: { stage: string }) => (update.stage === stage ? change() : undefined) };
        const run = compiled(name, files.model, files.text, { ...silentContext(), progress });
        // Between the first and the second time that the compilation waits.
        if (stage === 'at once') change();
        await expect(run).rejects.toMatchObject({ code: 'input-changed', at: expect.stringContaining(files[part]) });
        expect([isDone, existsSync(join(root, `${name}.out`))]).toEqual([true, false]);
      }
    }
  });
});

describe('a manifest', () => {
  it('has the digests of the graph and of the data', async () => {
    await compiled('manifest', gemma3, ids);
    const { source } = JSON.parse(readFileSync(join(root, 'manifest.out', 'm.json'), 'utf8'));
    const { createHash } = await import('node:crypto');
    const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex');
    const files = [gemma3, `${gemma3}.data`].map((path) => ({
      path,
      bytes: readFileSync(path).length,
      sha256: digest(path),
    }));
    expect(source.files).toEqual(
      files.map(({ path, ...rest }) => ({ name: path.slice(dirname(path).length + 1), ...rest })),
    );
    expect(source.sha256).toBe(files[0]?.sha256);
  });
});

describe('a compilation', () => {
  const isLinux = process.platform === 'linux';
  (isLinux ? it : it.skip)('leaves no file open', async () => {
    const open = (): readonly string[] =>
      readdirSync('/proc/self/fd').flatMap((name) => {
        try {
          const target = readlinkSync(`/proc/self/fd/${name}`);
          return target.startsWith('/') && !target.startsWith('/dev/') ? [target] : [];
        } catch {
          return [];
        }
      });
    const before = open();
    await compiled('open', gemma3, ids);
    expect(open().filter((path) => !before.includes(path))).toEqual([]);
  });

  it('refuses weights that are not finite before it runs the model', async () => {
    const files = copied('nan');
    const bytes = readFileSync(files.data);
    bytes.fill(0xff, bytes.length - 4096);
    writeFileSync(files.data, bytes);
    const stages = new Set<string>();
    const progress = { update: ({ stage }: { stage: string }) => void stages.add(stage) };
    const run = compiled('nan', files.model, files.text, { ...silentContext(), progress });
    await expect(run).rejects.toMatchObject({ code: 'not-finite', message: expect.stringMatching(/Element \[\d/) });
    expect([...stages]).toEqual([]);
  });
});

/** Every call of the system transfers at most 4,093 bytes, as on a slow network. */
const SHORT = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const { readSync, writeSync } = fs;
  let calls = 0;
  fs.readSync = (d, b, o, l, p) => { if (l > 4093) calls++; return readSync(d, b, o, Math.min(l, 4093), p); };
  fs.writeSync = (d, b, o, l, p) =>
    typeof b === 'string' || l === undefined ? writeSync(d, b, o, l, p) : writeSync(d, b, o, Math.min(l, 4093), p);
  syncBuiltinESMExports();
  process.on('exit', () => { if (calls === 0) process.exitCode = 9; });`;

const child = async (hook: string, code: string): Promise<string> => {
  const paths = { hook: join(root, 'hook.mjs'), code: join(root, 'code.mjs') };
  writeFileSync(paths.hook, hook);
  writeFileSync(paths.code, code);
  const run = spawn(process.execPath, ['--import', paths.hook, paths.code], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  run.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const [exit] = (await once(run, 'close')) as [number | null];
  return `${exit} ${output}`;
};

describe('with system calls that transfer little at a time', () => {
  it('a compilation writes the same bytes', async () => {
    await compiled('whole', gemma3, ids);
    const options = {
      ...COMPILE,
      model: gemma3,
      output: join(root, 'short.out'),
      text: { ids },
      work: join(root, 'short.work'),
    };
    const code = `
      const { compile, parseRecipe, silentContext } = await import('${project}dist/src/index.js');
      const recipe = parseRecipe(${JSON.stringify({ method: 'gptq', block: 64, bits: [8, 2], tokens: 256, window: 64 })}, 'test');
      const options = { ...${JSON.stringify(options)}, recipe };
      await compile(options, silentContext());
      await compile(options, silentContext());`;
    expect(await child(SHORT, code)).toBe('0 ');
    const data = (name: string): Buffer => readFileSync(dataIn(join(root, `${name}.out`)));
    expect(data('short').equals(data('whole'))).toBe(true);
  });

  it('rows of activations come back from their file', async () => {
    const code = `
      const { RowStore } = await import('${project}dist/src/train/blocks/rows.js');
      const store = new RowStore(3000, 2, '${join(root, 'rows.bin')}', 0);
      store.append(Float32Array.from({ length: 9000 }, (_, at) => at));
      const [first, last] = [store.gather([2, 0]).at(2999), store.gather([1])[2999]];
      store.close();
      console.log(first, last);`;
    expect(await child(SHORT, code)).toBe('0 8999 5999\n');
  });
});
