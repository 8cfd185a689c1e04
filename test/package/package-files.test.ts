/** What `--for` reads, refuses, writes and replaces. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { silentContext } from '../../src/log.js';
import { compileFor, type Format } from '../../src/package/index.js';
import { packageSourceOf } from '../../src/package/package-source.js';
import { hubEnvironment } from '../../src/source/index.js';
import { openPath } from '../../src/source/input.js';
import { startHub } from '../support/hub-server.js';
import { fixture, temporaryFolder } from '../support/paths.js';

const FILES = ['model.onnx', 'config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];

/** A copy of the fixture with a model card, but for the files named. */
function source(without: readonly string[] = [], card = 'license: apache-2.0'): string {
  const folder = join(temporaryFolder(), 'source');
  mkdirSync(folder);
  for (const name of FILES.filter((each) => !without.includes(each)))
    copyFileSync(fixture(`models/mistral-656k/${name}`), join(folder, name));
  writeFileSync(join(folder, 'README.md'), `---\n${card}\nbase_model:\n  - org/tiny\n---\n# Tiny\n`);
  writeFileSync(join(folder, 'LICENSE'), 'the licence');
  return folder;
}

const pack = (folder: string, output: string, formats: readonly Format[], bits: readonly (8 | 4 | 3 | 2)[] = [4, 2]) =>
  compileFor(
    {
      model: join(folder, 'model.onnx'),
      output,
      recipe: { method: 'data-free', bits, block: 32 },
      for: formats,
      threads: 1,
    },
    silentContext(),
  );

const code = (value: string) => expect.objectContaining({ code: value });

describe('a package', () => {
  it('has a card with its head, the licence of the source, and a genai_config.json by precision', async () => {
    const [folder, output] = [source(), join(temporaryFolder(), 'out')];
    await pack(folder, output, ['genai', 'onnxruntime']);
    const card = readFileSync(join(output, 'README.md'), 'utf8');
    expect(card).toMatch(
      /^---\nbase_model: org\/tiny\nbase_model_relation: quantized\nlicense: apache-2.0\nlibrary_name: onnx\n/,
    );
    expect(card).toContain("og.Model('PATH_OR_NAME/genai/int4')");
    expect(readFileSync(join(output, 'LICENSE'), 'utf8')).toBe('the licence');
    const { model } = JSON.parse(readFileSync(join(output, 'genai/int2/genai_config.json'), 'utf8'));
    expect(model).toMatchObject({
      type: 'mistral',
      eos_token_id: 2,
      decoder: {
        filename: 'model.onnx',
        head_size: 16,
        num_key_value_heads: 4,
        inputs: { past_key_names: 'past_key_values.%d.key' },
        outputs: { present_value_names: 'present.%d.value' },
      },
    });
    expect(existsSync(join(output, 'onnxruntime/model.json'))).toBe(true);

    // Again with fewer precisions: what the first run left behind goes, files of others stay.
    writeFileSync(join(output, 'mine.txt'), 'mine');
    await pack(folder, output, ['genai'], [4]);
    expect(readdirSync(join(output, 'genai/int2'))).toEqual([]);
    expect(existsSync(join(output, 'onnxruntime/model.json'))).toBe(false);
    expect(readFileSync(join(output, 'mine.txt'), 'utf8')).toBe('mine');

    // A card that somebody has edited is not replaced.
    writeFileSync(join(output, 'README.md'), 'edited');
    await expect(pack(folder, output, ['genai'], [4])).rejects.toEqual(code('output-exists'));
  });

  it.each([
    ['config.json', 'transformers.js'],
    ['config.json', 'genai'],
    ['tokenizer.json', 'transformers.js'],
  ] as const)('is refused without %s for %s, with nothing written', async (missing, format) => {
    const output = join(temporaryFolder(), 'out');
    await expect(pack(source([missing]), output, [format])).rejects.toEqual(code('file-missing'));
    expect(existsSync(output)).toBe(false);
  });

  it('is refused in the folder of the model, and for precisions that no name stands for', async () => {
    const folder = source();
    await expect(pack(folder, folder, ['transformers.js'])).rejects.toEqual(code('output-exists'));
    await expect(pack(folder, join(folder, 'out'), ['genai'], [3])).rejects.toEqual(code('unsupported-target'));
    rmSync(folder, { recursive: true });
  });

  it('reads a source in the layout of transformers.js, and the names in its card', () => {
    const folder = source([], "license: 'gemma'");
    mkdirSync(join(folder, 'onnx'));
    renameSync(join(folder, 'model.onnx'), join(folder, 'onnx/model.onnx'));
    const found = packageSourceOf(openPath(join(folder, 'onnx/model.onnx'), undefined));
    expect(found).toMatchObject({ licence: 'gemma', baseModel: 'org/tiny', legal: [join(folder, 'LICENSE')] });
    expect(found.companions).toContain(join(folder, 'tokenizer.json'));
  });

  it('comes from a folder and from the hub as from the graph in it', async () => {
    const [folder, outputs] = [source(), temporaryFolder()];
    const files = Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name))]));
    const server = await startHub([{ id: 'models/org/tiny', files }]);
    try {
      const hub = hubEnvironment({ HF_ENDPOINT: server.endpoint, HF_HOME: join(outputs, 'home') });
      const common = {
        for: ['transformers.js'],
        recipe: { method: 'data-free', bits: [4], block: 32 },
        threads: 1,
      } as const;
      const graph = join(folder, 'model.onnx');
      for (const [name, model, file] of [
        ['graph', graph],
        ['folder', folder, 'model.onnx'],
        ['hub', 'hf:org/tiny'],
      ] as const) {
        await compileFor({ ...common, model, file, output: join(outputs, name), hub }, silentContext());
      }
    } finally {
      await server.close();
    }
    const list = (name: string): string => readFileSync(join(outputs, name, 'matquant-package.json'), 'utf8');
    expect(JSON.parse(list('graph')).files.length).toBeGreaterThan(5);
    for (const name of ['folder', 'hub']) expect(list(name)).toBe(list('graph'));
  });
});
