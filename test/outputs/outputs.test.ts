/** Outputs that are inputs, or files of others. */
import {
  copyFileSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { verify } from '../../src/evaluate/verify.js';
import { silentContext } from '../../src/log.js';
import { mix } from '../../src/mix/mix.js';
import { guardOutputs } from '../../src/outputs/outputs.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { report } from '../../src/report/report.js';
import { append } from '../../src/set/append.js';
import { slice } from '../../src/set/slice.js';
import { captureStatistics } from '../../src/solve/capture-statistics.js';
import { COMPILE } from '../support/compile.js';
import { product, writeSet, writeWholeSet } from '../support/nested.js';
import { fixture, temporaryFolder } from '../support/paths.js';

const context = silentContext();
const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const model = fixture('models/gemma3-tiny/model.onnx');
const recipe = parseRecipe({ method: 'data-free', bits: [8, 4] }, 'test');

let count = 0;
let folder: string;
beforeEach(() => {
  folder = join(root, String(count++));
  mkdirSync(folder);
});

const at = (name: string): string => join(folder, name);
const write = (name: string, text = 'precious'): string => {
  mkdirSync(dirname(at(name)), { recursive: true });
  writeFileSync(at(name), text);
  return at(name);
};
const taken = { code: 'output-exists' };
const snapshot = (): Record<string, string> =>
  Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [join(entry.parentPath, entry.name), readFileSync(join(entry.parentPath, entry.name), 'latin1')]),
  );

/** A copy of the model whose data file has another name of the same length. */
function moved(name: string, data: string): string {
  const bytes = readFileSync(model, 'latin1').replaceAll('model.onnx.data', data);
  writeFileSync(at(name), bytes, 'latin1');
  copyFileSync(`${model}.data`, at(data));
  return at(name);
}

/** Refused, and every file is what it was. */
async function refused(work: () => Promise<unknown>, error: object = taken): Promise<void> {
  const before = snapshot();
  await expect(work()).rejects.toMatchObject(error);
  expect(snapshot()).toEqual(before);
}

describe('an output that is an input', () => {
  const spellings: readonly (readonly [string, (input: string) => string])[] = [
    ['by its name', (input) => input],
    ['through ..', (input) => join(folder, 'x', '..', basename(input))],
    [
      'through a link',
      (input) => {
        symlinkSync(input, at('link.html'));
        return at('link.html');
      },
    ],
    [
      'through a linked folder',
      (input) => {
        symlinkSync(folder, at('linked'));
        return join(folder, 'linked', basename(input));
      },
    ],
    [
      'as a second name of the file',
      (input) => {
        linkSync(input, at('second.html'));
        return at('second.html');
      },
    ],
  ];
  it.each(spellings)('is refused %s', (_, spelled) => {
    const input = write('in.html');
    mkdirSync(at('x'));
    const files = [{ path: spelled(input), kind: 'page' }] as const;
    expect(() => guardOutputs({ inputs: [input], files, overwrite: true })).toThrow(expect.objectContaining(taken));
    expect(() => guardOutputs({ models: [input], files, overwrite: true })).toThrow(expect.objectContaining(taken));
    expect(() => guardOutputs({ inputFolders: [folder], files, overwrite: true })).toThrow(
      expect.objectContaining(taken),
    );
  });

  it('is refused for the data file of a model', async () => {
    copyFileSync(model, at('model.onnx'));
    copyFileSync(`${model}.data`, at('model.onnx.data'));
    const files = [{ path: at('model.onnx.data'), kind: 'sweep' }] as const;
    expect(() => guardOutputs({ models: [at('model.onnx')], files, overwrite: true })).toThrow(
      expect.objectContaining(taken),
    );
  });

  it('may be beside it', () => {
    const input = write('in.html');
    guardOutputs({ inputs: [input], files: [{ path: at('out.html'), kind: 'page' }], folders: [folder] });
  });
});

describe('compile', () => {
  const compiled = (input: string, more: object = {}) =>
    compile({ ...COMPILE, model: input, output: folder, recipe, threads: 1, ...more }, context);

  it.each([false, true])('does not replace the model that it reads (standalone: %s)', async (standalone) => {
    copyFileSync(model, at('m_int8.onnx'));
    copyFileSync(`${model}.data`, at('model.onnx.data'));
    for (const overwrite of [false, true]) await refused(() => compiled(at('m_int8.onnx'), { standalone, overwrite }));
  });

  it('does not replace or remove the data of the model that it reads', async () => {
    const input = moved('in.onnx', 'm.01abcdef.data');
    await refused(() => compiled(input, { overwrite: true }));
  });

  it.each(['m_int4.onnx', 'm.json', 'm.report.json'])('does not replace %s of someone else', async (name) => {
    write(name, name.endsWith('.json') ? '{"a":1}' : 'precious');
    await refused(() => compiled(model));
  });

  it.each(['../x', '..', 'a/b', '', 'NUL', 'x'.repeat(300)])('refuses the name %j before it reads', async (name) => {
    await refused(() => compiled(at('none.onnx'), { name }), { code: 'bad-usage', at: 'name' });
    expect(readdirSync(root)).not.toContain('x');
  });

  it('does not write into a folder of statistics, or into a file', async () => {
    mkdirSync(at('stats'));
    await refused(() => compiled(model, { output: at('stats'), statistics: [at('stats')] }));
    write('file');
    await refused(() => compiled(model, { output: at('file') }));
    await refused(() => compiled(model, { output: at('out'), work: at('file') }));
  });

  it('does not replace text that it reads', async () => {
    const ids = write('m.report.json', '[1,2,3]');
    await refused(() => compiled(model, { text: { ids }, overwrite: true }));
  });
});

describe('a file where a folder is needed', () => {
  const refused = { code: 'output-exists', at: expect.stringMatching(/plain$/) };

  it.each(['plain', 'plain/deep', 'plain/deep/deeper'])('is refused: %s', (name) => {
    writeFileSync(at('plain'), 'a file');
    // What cannot be made below a file is the matter of those who make a folder: `work-folder`.
    if (name === 'plain')
      expect(() => guardOutputs({ files: [], folders: [at(name)] })).toThrow(expect.objectContaining(refused));
    const files = [{ path: at(`${name}/model.onnx`), kind: 'model' as const }];
    expect(() => guardOutputs({ files })).toThrow(expect.objectContaining(refused));
  });
});

describe('verbs of a set', () => {
  let set: string;
  let data: string;
  beforeEach(() => {
    mkdirSync(at('set'));
    const written = writeSet(at('set'), product({ k: 64, n: 24 }), {
      bits: [2, 4, 8],
      block: 32,
      decode: 'ab',
      tables: 'c8',
    });
    set = writeWholeSet(at('set'), written);
    data = written.dataPath;
  });
  const sliced = (output: string, more: object = {}) =>
    slice({ set, bits: 4, output, standalone: true, slice: 'prefix', ...more }, context);

  it('slice does not replace a model of someone else, unless told to', async () => {
    copyFileSync(model, at('m.onnx'));
    await refused(() => sliced(at('m.onnx')));
    await refused(() => sliced(at('m.onnx'), { standalone: false }));
    await sliced(at('m.onnx'), { overwrite: true });
    await sliced(at('m.onnx'));
  });

  it('slice does not replace data that another graph reads, or a file that is no manifest', async () => {
    moved('in.onnx', 'other.onnx_data');
    await refused(() => sliced(at('other.onnx')));
    write('m.json', '{"a":1}');
    await refused(() => sliced(at('m.onnx'), { standalone: false }));
  });

  it('slice does not take a graph or the manifest of another set', async () => {
    mkdirSync(at('other'));
    const block = { bits: [2, 4, 8], block: 16, decode: 'ab', tables: 'c8' } as const;
    writeWholeSet(at('other'), writeSet(at('other'), product({ k: 64, n: 24 }), block));
    await refused(() => sliced(at('other/model_int4.onnx')));
    await refused(() => sliced(at('other/model.onnx'), { standalone: false }));
  });

  it('slice through links does not touch the set', async () => {
    symlinkSync(data, at('l.onnx'));
    await refused(() => sliced(at('l.onnx'), { overwrite: true }));
    symlinkSync(at('set'), at('same'));
    await refused(() => sliced(at('same/model_int8.onnx'), { overwrite: true }));
    await refused(() => sliced(at('same/model_int8.onnx'), { overwrite: true, standalone: false }));
    await sliced(at('same/model_int4.onnx'), { standalone: false });
    expect(readdirSync(at('set'))).not.toContain('model_int4.json');
  });

  it('several cut models of a set share its data in one folder, which never gets shorter', async () => {
    await sliced(at('cut/two.onnx'), { standalone: false, bits: 2 });
    await sliced(at('cut/eight.onnx'), { standalone: false, bits: 8 });
    await sliced(at('cut/two.onnx'), { standalone: false, bits: 2 });
    expect(readFileSync(join(at('cut'), basename(data))).equals(readFileSync(data))).toBe(true);
    expect(readdirSync(at('cut')).sort()).toEqual(
      [basename(data), 'eight.json', 'eight.onnx', 'two.json', 'two.onnx'].sort(),
    );
  });

  it('a standalone model in the place of a cut one takes its manifest and data with it', async () => {
    await sliced(at('cut/m.onnx'), { standalone: false });
    await sliced(at('cut/m.onnx'));
    expect(readdirSync(at('cut')).filter((name) => !name.startsWith('m.onnx'))).toEqual([]);
  });

  it('mix does not replace bits, text or a precision of the set', async () => {
    const bitsFile = write('bits.json', '{"*":4}');
    const mixed = (more: object) => mix({ set, goal: { bitsFile }, standalone: false, ...more }, context);
    await refused(() => mixed({ saveBits: bitsFile, overwrite: true }));
    const notes = write('notes.json', '{"a":"b"}');
    await refused(() => mixed({ saveBits: notes }));
    await refused(() => mixed({ output: at('set/model_int2.onnx'), overwrite: true }));
    await refused(() => mixed({ saveBits: at('m.onnx'), output: at('m.onnx') }), { code: 'bad-usage' });
    copyFileSync(model, at('set/model_mix.onnx'));
    await refused(() => mixed({}));
    rmSync(at('set/model_mix.onnx'));
    await mixed({});
    await mixed({});
  });

  it('report, verify and append do not replace what they read', async () => {
    const page = write('page.html', '<html>mine</html>');
    await refused(() => report({ folder: set, output: page }, context));
    await report({ folder: set, output: page, overwrite: true }, context);
    await report({ folder: set, output: page }, context);
    const evaluation = write('p.report.json', '{"candidates":[]}');
    await refused(() =>
      report({ folder: set, output: at('p.html'), evaluations: [evaluation], overwrite: true }, context),
    );
    const graph = at('set/model_int4.onnx');
    const checked = { original: graph, candidate: graph, thresholds: { maxSize: 1e9 }, window: 8, threads: 1 };
    for (const junit of [graph, data]) await refused(() => verify({ ...checked, junit, overwrite: true }, context));
    const mine = write('my.xml');
    await refused(() => verify({ ...checked, junit: mine }, context));
    await refused(() => append({ set, bits: 8, from: data }, context));
  });

  it('capture does not write into what it adds up', async () => {
    mkdirSync(at('stats'));
    const asked = { model, recipe, threads: 1, memoryBytes: 2e9, seed: 0 };
    await refused(() => captureStatistics({ ...asked, output: at('stats'), statistics: [at('stats')] }, context));
    write('mine/statistics.json', '{}');
    await refused(() => captureStatistics({ ...asked, output: at('mine'), text: { ids: at('none') } }, context));
  });
});
