/** Whole models: attention, embedding, head and what stays float, through compile on real exports. */
import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { analyse } from '../../src/analysis/projections.js';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { inspect } from '../../src/compile/inspect.js';
import { silentContext } from '../../src/log.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { nodesOf } from '../../src/onnx/ir/graph.js';
import { parseRecipe, presetOf, type RecipeInput } from '../../src/recipe/recipe.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds } from '../../src/runtime/feeds.js';
import { generate, likeliest } from '../../src/runtime/generate.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { HostTensor } from '../../src/runtime/runtime.js';
import { openSet } from '../../src/set/set-manifest.js';
import { slice } from '../../src/set/slice.js';
import { type TokenTable, tableBlock, tokenTablesOf } from '../../src/source/token-tables.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { gemma3, heldWindows, mistral, writeIds } from '../support/stories.js';

const context = silentContext();
let root: string;
let ids: string;
beforeAll(() => {
  root = temporaryFolder();
  ids = writeIds(join(root, 'ids.jsonl'), heldWindows(40).slice(20));
});
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
function compiled(
  model: string,
  recipe: RecipeInput,
  text = true,
  targetBytes?: number,
): Promise<CompileResult & { readonly folder: string }> {
  const output = join(root, `set${count++}`);
  const options = {
    model,
    output,
    recipe: parseRecipe(recipe, 'test'),
    threads: 2,
    memoryBytes: 2e9,
    seed: 0,
    standalone: false,
    strict: false,
  };
  const sized = targetBytes === undefined ? {} : { targetBytes };
  return compile({ ...options, ...sized, ...(text && { text: { ids } }) }, context).then((result) => ({
    ...result,
    folder: output,
  }));
}

const graphOf = (folder: string, bits: number): string => join(folder, `model_int${bits}.onnx`);

describe('deploy-int4 on an export with caches', () => {
  let result: CompileResult & { readonly folder: string };
  beforeAll(async () => {
    result = await compiled(mistral, presetOf('deploy-int4'));
  });

  it('stores the tied table once and nothing in float32', () => {
    expect(result.tables).toMatchObject([{ name: 'embedding', tied: true, bits: 4, rows: 2048, cols: 128 }]);
    const model = importModel(graphOf(result.folder, 4));
    const tensors = [...model.graph.initializers].flatMap(({ initializer }) => initializer ?? []);
    const tables = tensors.filter(({ byteLength }) => byteLength === 2048 * 64);
    expect(new Set(tables.map(({ storage }) => storage)).size).toBe(1);
    expect(tensors.filter(({ dtype, byteLength }) => dtype === 'float32' && byteLength >= 1024)).toEqual([]);
    const users = [...nodesOf(model.graph)].filter(({ op }) => op === 'GatherBlockQuantized');
    expect(users).toHaveLength(1);
  });

  it('keeps close to the source', () => {
    // Over random ids, since all windows were learnt from: a table in the wrong place gives more than 5.
    expect(result.precisions[0]?.probe?.kl).toBeLessThan(1);
    expect(result.precisions[0]?.probe?.scored).toBe('random ids');
    expect(result.tables[0]?.error.after).toBeLessThan((result.tables[0]?.error.before ?? 0) * 0.8);
  });

  it('continues with its cache as passes over the whole text would, 64 tokens, nested and self-contained', async () => {
    const packed = join(root, 'packed.onnx');
    const set = join(result.folder, 'model.json');
    await slice({ set, bits: 4, output: packed, standalone: true, slice: 'prefix' }, context);
    const prompt = (heldWindows(1)[0] as Int32Array).subarray(0, 20);
    const texts: string[] = [];
    for (const path of [graphOf(result.folder, 4), packed]) {
      const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
      const { ids: made } = await generate(decoder, prompt, 64);
      for (const [at, id] of made.entries()) {
        const feeds = promptFeeds(decoder, [...prompt, ...made.slice(0, at)]);
        const { logits } = await decoder.session.run(feeds, ['logits']);
        expect(likeliest(logits as HostTensor)).toBe(id);
      }
      await decoder.session.close();
      texts.push(made.join(' '));
    }
    expect(texts[1]).toBe(texts[0]);
  });

  it('weighs what inspect says, but for the graph', async () => {
    const { sizes } = await inspect({ model: mistral, recipe: result.recipe }, context);
    const data = statSync(dataIn(result.folder)).size;
    expect(Math.abs(data / (sizes['int4']?.bytes ?? 0) - 1)).toBeLessThan(0.03);
  });

  it('leaves no work file behind', () => {
    expect(readdirSync(result.folder).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

describe('floors', () => {
  it('keep attention at 4 bits in the int2 model, whose prefix holds what it needs', async () => {
    const { folder } = await compiled(mistral, { ...presetOf('deploy-int2'), method: 'data-free' }, false);
    const { manifest } = openSet(join(folder, 'model.json'));
    const chains = new Map(manifest.layout.projections.map(({ role, chain }) => [role, chain]));
    expect(chains.get('q')).toEqual([4]);
    expect(chains.get('down')).toEqual([2, 4]);
    const needed = manifest.graphs.find(({ name }) => name === 'int2')?.bytesNeeded ?? 0;
    const planes = manifest.layout.projections.filter(({ role }) => role === 'q').flatMap((place) => place.planes);
    for (const { offset, length } of planes) expect(offset + length).toBeLessThanOrEqual(needed);
  });
});

describe('storage of embedding and head', () => {
  const base = { method: 'data-free', bits: [4], scope: 'ffn' } as const;
  const forms: readonly (readonly [string, RecipeInput, number])[] = [
    ['keep', {}, 2048 * 128 * 4],
    ['float16', { embeddingBits: 16 }, 2048 * 128 * 2],
    ['8 bits', { embeddingBits: 8 }, 2048 * 128],
    ['4 bits', { embeddingBits: 4 }, 2048 * 64],
  ];

  it.each(forms)('%s: one tensor of that size, close to the source', async (_, recipe, bytes) => {
    const { folder, precisions } = await compiled(mistral, { ...base, ...recipe }, false);
    const model = importModel(graphOf(folder, 4));
    const tensors = [...model.graph.initializers].flatMap(({ initializer }) => initializer ?? []);
    // Embedding and head see the same bytes under two shapes.
    const ranges = tensors.filter(({ byteLength }) => byteLength === bytes).map(({ storage }) => storage);
    expect(new Set(ranges).size).toBe(1);
    expect(Math.max(...tensors.map(({ byteLength }) => byteLength))).toBe(bytes);
    expect(precisions[0]?.probe?.kl).toBeLessThan(1);
  });

  it('2 bits: a quarter of a byte per number, and a model that runs', async () => {
    const { tables, precisions } = await compiled(mistral, { ...base, embeddingBits: 2, embeddingBlock: 16 }, false);
    expect(tables).toMatchObject([{ bits: 2, tied: true }]);
    // Codes, and of every 16 of them a scale in 8 bits and a zero point; of every row a float16 super-scale.
    expect(tables[0]?.bytes).toBeLessThan(2048 * 128 * 0.5);
    expect(precisions[0]?.probe?.kl).toBeLessThan(4);
  });

  it('of 2 bits is refused where WebGPU is the target, before any work', async () => {
    const asked: RecipeInput = { ...base, embeddingBits: 2, target: 'webgpu' };
    const refusal = { code: 'unsupported-target', message: expect.stringContaining('GatherBlockQuantized') };
    await expect(compiled(mistral, asked, false)).rejects.toMatchObject(refusal);
    await expect(inspect({ model: mistral, recipe: parseRecipe(asked, 'test') }, context)).rejects.toMatchObject(
      refusal,
    );
    const { sizes } = await inspect(
      { model: mistral, recipe: parseRecipe({ ...asked, embeddingBits: 4 }, 'test') },
      context,
    );
    expect(sizes['int4']?.bytes).toBeGreaterThan(0);
  });

  it('an untied head gets a table of its own', async () => {
    const { tables } = await compiled(gemma3, { ...base, embeddingBits: 8 }, false);
    const { embedding } = analyse(importModel(gemma3));
    expect(tables.map(({ name, tied }) => [name, tied])).toEqual(
      embedding?.head === 'untied'
        ? [
            ['embedding', false],
            ['head', false],
          ]
        : [['embedding', true]],
    );
  });

  it('halves the block until it divides the hidden size, and refuses below 16', async () => {
    const { tables } = await compiled(mistral, { ...base, embeddingBits: 4, embeddingBlock: 256 }, false);
    expect(tables[0]?.block).toBe(128);
    const [table] = tokenTablesOf(analyse(importModel(mistral)));
    const odd = { ...table, cols: 120 } as TokenTable;
    expect(() => tableBlock(odd, 64)).toThrow(expect.objectContaining({ code: 'unsupported-target', at: 'embedding' }));
    expect(tableBlock({ ...odd, embedding: undefined }, 64)).toBe(64);
  });
});

describe('--target-size', () => {
  const recipe = parseRecipe({ method: 'data-free', bits: [4, 2] }, 'test');
  const sized = (targetBytes: number): Promise<Awaited<ReturnType<typeof inspect>>> =>
    inspect({ model: mistral, recipe, targetBytes }, context);

  it.each([
    ['optimum', mistral, 1.3e6],
    ['optimum', mistral, 0.7e6],
    ['optimum', mistral, 0.57e6],
    ['torch with notes', gemma3, 1.3e6],
    ['torch with notes', gemma3, 0.8e6],
  ])('compiles an export of %s to what was asked for, graph included', async (_, model, target) => {
    const { folder, precisions } = await compiled(model, { method: 'data-free', bits: [4, 2] }, false, target);
    const bytes = precisions.find(({ bits }) => bits === 2)?.dataBytes ?? Infinity;
    expect(bytes + statSync(graphOf(folder, 2)).size).toBeLessThanOrEqual(target);
  });

  it('changes nothing that fits as it is, and spends what it may', async () => {
    expect((await sized(2e6)).recipe).toEqual(recipe);
    expect((await sized(0.95e6)).recipe).toMatchObject({ embeddingBits: 16, floatStorage: 'float16', scope: 'ffn' });
    expect((await sized(0.52e6)).recipe).toMatchObject({ embeddingBits: 4, scope: 'ffn+attention', attentionBits: 4 });
  });

  it('says how small it can be', async () => {
    await expect(sized(1e5)).rejects.toMatchObject({ code: 'bad-usage', at: 'targetBytes' });
  });
});
