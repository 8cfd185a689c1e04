/** One data file per precision: the same models, and what a larger one adds in files of its own. */
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { ortRuntime } from '../../src/runtime/ort.js';
import { floats, type HostTensor, withSession } from '../../src/runtime/runtime.js';
import { splitPlanes } from '../../src/set/index.js';
import { noise } from '../support/decoder.js';
import { product, writeSet, writeWholeSet } from '../support/nested.js';
import { temporaryFolder } from '../support/paths.js';

let folder = '';
let manifest = '';
let stem = '';
beforeAll(() => {
  folder = temporaryFolder();
  const set = writeSet(folder, product({ k: 64, n: 32 }), {
    bits: [8, 4, 2],
    block: 32,
    decode: 'ab',
    tables: 'c8',
    symmetric: false,
  });
  manifest = writeWholeSet(folder, set);
  stem = (JSON.parse(readFileSync(manifest, 'utf8')) as { data: string }).data.replace(/\.data$/, '');
});

const run = (path: string): Promise<readonly number[]> =>
  withSession(ortRuntime, path, { threads: 1 }, async (session) => {
    const { y0, y1 } = await session.run({ x: floats(noise(3 * 64, 9), [1, 3, 64]) });
    return [y0, y1].flatMap((each) => [...((each as HostTensor).data as Float32Array)]);
  });

describe('split planes', () => {
  it('gives the same models with one file more for each precision', async () => {
    const output = join(folder, 'split');
    const graphs = await splitPlanes({ set: manifest, output });
    const files = ['rest', 'int2', 'int4', 'int8'].map((name) => `${stem}.${name}.data`);
    expect(graphs.map(({ name, data }) => [name, data])).toEqual([
      ['int2', files.slice(0, 2)],
      ['int4', files.slice(0, 3)],
      ['int8', files],
    ]);
    const sizes = files.map((file) => statSync(join(output, file)).size);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(statSync(join(folder, `${stem}.data`)).size);
    for (const { file } of graphs) expect(await run(join(output, file))).toEqual(await run(join(folder, file)));
  });

  it('leaves files out of a model that it does not need', async () => {
    const output = join(folder, 'small');
    await splitPlanes({ set: manifest, output });
    writeFileSync(join(output, `${stem}.int8.data`), '');
    writeFileSync(join(output, `${stem}.int4.data`), '');
    expect(await run(join(output, 'model_int2.onnx'))).toEqual(await run(join(folder, 'model_int2.onnx')));
    await expect(run(join(output, 'model_int4.onnx'))).rejects.toThrow();
  });

  it('writes over nothing, and nothing of a set that is damaged', async () => {
    await expect(splitPlanes({ set: manifest, output: folder })).rejects.toMatchObject({ code: 'output-exists' });
    const data = join(folder, `${stem}.data`);
    const bytes = readFileSync(data);
    const output = join(folder, 'damaged');
    writeFileSync(
      data,
      Uint8Array.from(bytes, (byte, at) => (at === bytes.length - 9 ? byte ^ 1 : byte)),
    );
    await expect(splitPlanes({ set: manifest, output })).rejects.toMatchObject({ code: 'damaged' });
    expect(existsSync(output)).toBe(false);
    writeFileSync(data, bytes);
  });
});
