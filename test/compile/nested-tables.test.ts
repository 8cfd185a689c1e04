/** Sets whose embedding and head are nested too: one file from compile to slices, mixes and self-contained models. */
import { cpSync, existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { inspect } from '../../src/compile/inspect.js';
import { fitRest } from '../../src/compile/target-size.js';
import { differenceOf } from '../../src/evaluate/same/same-set.js';
import { silentContext } from '../../src/log.js';
import { mix } from '../../src/mix/mix.js';
import { attentionBitsAt, tableReads } from '../../src/recipe/floors.js';
import { parseRecipe, presetOf, type Recipe, type RecipeInput } from '../../src/recipe/recipe.js';
import { reportData } from '../../src/report/report-data.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds } from '../../src/runtime/feeds.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { HostTensor } from '../../src/runtime/runtime.js';
import { append } from '../../src/set/append.js';
import { openSet } from '../../src/set/set-manifest.js';
import { slice } from '../../src/set/slice.js';
import { storedBitsOfGraph } from '../../src/set/stored-bits-of-graph.js';
import { openSource } from '../../src/source/source.js';
import { temporaryFolder } from '../support/paths.js';
import { dataIn } from '../support/set-files.js';
import { gemma3, heldWindows, mistral, writeIds } from '../support/stories.js';

const context = silentContext();
const machine = { threads: 2, memoryBytes: 2e9, seed: 0, strict: false };
const prompt = (heldWindows(1)[0] as Int32Array).subarray(0, 24);
let root: string;
beforeAll(() => {
  root = temporaryFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

const nested: RecipeInput = {
  method: 'rtn',
  scope: 'ffn+attention',
  bits: [8, 4, 2],
  block: 32,
  attentionBits: { 2: 3 },
  embeddingBits: { 2: 3, 8: 7 },
  frequentIds: { share: 0.25, bits: { 2: 4 } },
};

async function logitsOf(path: string, ids: Int32Array = prompt): Promise<HostTensor> {
  const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
  const { logits } = await decoder.session.run(promptFeeds(decoder, [...ids]), ['logits']);
  await decoder.session.close();
  return logits as HostTensor;
}

async function compiled(model: string, name: string, recipe: Recipe, standalone = false): Promise<string> {
  const output = join(root, name);
  await compile({ model, output, name: 'model', recipe, standalone, ...machine }, context);
  return output;
}

describe('a set with nested embedding and head', () => {
  let folder: string;
  const recipe = parseRecipe(nested);
  const graph = (bits: number): string => join(folder, `model_int${bits}.onnx`);
  beforeAll(async () => {
    folder = await compiled(mistral, 'set', recipe);
  });

  it('stores codes once, in parts of which each model reads its own', () => {
    const { layout, graphs } = openSet(join(folder, 'model.json')).manifest;
    expect(layout.tokenTables).toMatchObject([
      { id: 'embedding.0', table: 'embedding', role: 'tied', n: 512, k: 128, chain: [4, 8] },
      { id: 'embedding.1', table: 'embedding', role: 'tied', n: 1536, k: 128, chain: [3, 4, 7] },
    ]);
    expect(layout.projections.find(({ role }) => role === 'q')?.chain).toEqual([3, 4, 8]);
    const needed = graphs.map(({ bytesNeeded }) => bytesNeeded);
    expect(needed).toEqual(needed.toSorted((a, b) => a - b));
    expect(layout.byteLength).toBe(statSync(dataIn(folder)).size);
  });

  it('gives the same logits cut, grown again and self-contained', async () => {
    const set = join(folder, 'model.json');
    const cut = join(root, 'cut', 'model.onnx');
    await slice({ set, bits: 2, output: cut }, context);
    expect(await logitsOf(cut)).toEqual(await logitsOf(graph(2)));
    const { appendedBytes } = await append({ set: join(root, 'cut', 'model.json'), bits: 4, from: dataIn(folder) });
    expect(appendedBytes).toBeGreaterThan(0);
    await slice(
      { set: join(root, 'cut', 'model.json'), bits: 4, output: join(root, 'cut', 'model_int4.onnx') },
      context,
    );
    expect(await logitsOf(join(root, 'cut', 'model_int4.onnx'))).toEqual(await logitsOf(graph(4)));
    for (const bits of [2, 8]) {
      const output = join(root, `alone${bits}.onnx`);
      await slice({ set, bits, output, standalone: true }, context);
      expect(await logitsOf(output)).toEqual(await logitsOf(graph(bits)));
    }
  });

  it('is written self-contained by compile with the same bits', async () => {
    const alone = await compiled(mistral, 'alone', recipe, true);
    expect(await logitsOf(join(alone, 'model_int4.onnx'))).toEqual(await logitsOf(graph(4)));
  });

  it('is written in standard operators', async () => {
    const output = join(root, 'standard.onnx');
    await slice({ set: join(folder, 'model.json'), bits: 4, output, standalone: true, format: 'qdq' }, context);
    const [one, two] = [await logitsOf(output), await logitsOf(graph(4))];
    const largest = Math.max(...[...(two.data as Float32Array)].map(Math.abs));
    const worst = (two.data as Float32Array).reduce((most, value, at) => {
      return Math.max(most, Math.abs(value - ((one.data as Float32Array)[at] as number)));
    }, 0);
    expect(worst).toBeLessThan(0.1 * largest);
  });

  it('takes part in mixes, which read the table of a model of at least their bits', async () => {
    const set = join(folder, 'model.json');
    const { totalBytes } = await mix(
      { set, goal: { averageBits: 3 }, output: join(root, 'mix', 'model.onnx') },
      context,
    );
    expect(existsSync(join(root, 'mix', 'model.onnx'))).toBe(true);
    expect(totalBytes).toBeLessThan(statSync(graph(8)).size + statSync(dataIn(folder)).size);
    expect((await logitsOf(join(root, 'mix', 'model.onnx'))).data.every((value) => Number.isFinite(value))).toBe(true);
  });

  it('is searched for mixes on text', async () => {
    const set = join(folder, 'model.json');
    const ids = writeIds(join(root, 'ids.jsonl'), heldWindows(4));
    const measure = { text: { ids }, window: 64, tokens: 200, original: mistral };
    const found = async (averageBits: number): Promise<number> => {
      const output = join(root, `searched${averageBits}`, 'model.onnx');
      const search = { evaluations: 6, measure };
      return (await mix({ set, goal: { averageBits }, search, output }, context)).search?.kl ?? Number.NaN;
    };
    const [large, small] = [await found(6), await found(2.5)];
    expect(large).toBeLessThan(small / 2);
  });

  it('has mixes as small as its smallest model, and none that are smaller', async () => {
    const set = join(folder, 'model.json');
    const smallest = openSet(set).manifest.graphs[0]?.bytesNeeded ?? 0;
    const size = smallest + statSync(graph(2)).size;
    const targetBytes = Math.floor(1.02 * size);
    const output = join(root, 'smallest', 'model.onnx');
    const { totalBytes } = await mix({ set, goal: { targetBytes }, output }, context);
    expect(totalBytes).toBeLessThanOrEqual(targetBytes);
    const none = join(root, 'none', 'model.onnx');
    const small = mix({ set, goal: { targetBytes: Math.floor(0.9 * size) }, output: none }, context);
    await expect(small).rejects.toMatchObject({ code: 'bad-usage', at: 'goal.targetBytes' });
    expect(existsSync(none) || existsSync(`${none}_data`)).toBe(false);
  });

  it('has as many bytes in the report of a mix as the mix says', async () => {
    const copy = join(root, 'mixed');
    cpSync(folder, copy, { recursive: true });
    const { name, totalBytes } = await mix({ set: join(copy, 'model.json'), goal: { averageBits: 5 } }, context);
    const set = openSet(join(copy, 'model.json'));
    const none = { compiled: undefined, evaluations: [], sweeps: [], sensitivities: [], run: undefined };
    const model = reportData({ set, ...none }).models.find((each) => each.name === name);
    expect((model?.graphBytes ?? 0) + (model?.dataBytes ?? 0)).toBe(totalBytes);
  });

  it('is compared with another set by all of its codes', () => {
    const { equal, precisions } = differenceOf(folder, folder);
    const { layout } = openSet(join(folder, 'model.json')).manifest;
    const weights = layout.projections.reduce((sum, { n, k }) => sum + n * k, 2048 * 128);
    expect(equal).toBe(true);
    expect(precisions.map((each) => [each.bits, each.weights, each.codes])).toEqual(
      [2, 4, 8].map((bits) => [bits, weights, 0]),
    );
  });

  it('counts projections alone in stored bits, and weighs what inspect says', async () => {
    expect(storedBitsOfGraph(graph(8))).toBeCloseTo(8 + (2 * 9) / 32, 5);
    const { sizes } = await inspect({ model: mistral, recipe }, context);
    const [int2] = openSet(join(folder, 'model.json')).manifest.graphs;
    expect(Math.abs((int2?.bytesNeeded ?? 0) / (sizes['int2']?.bytes ?? 0) - 1)).toBeLessThan(0.1);
  });
});

describe('an export whose head repeats the embedding', () => {
  it('stores one table for both', async () => {
    const folder = await compiled(
      gemma3,
      'copy',
      parseRecipe({ method: 'rtn', bits: [8, 2], embeddingBits: { 2: 3 } }),
    );
    const { layout } = openSet(join(folder, 'model.json')).manifest;
    expect(layout.tokenTables?.map(({ role, chain }) => [role, chain])).toEqual([['tied', [3, 8]]]);
    const logits = await logitsOf(join(folder, 'model_int2.onnx'), Int32Array.of(2, 5, 9));
    expect(logits.data.every((value) => Number.isFinite(value))).toBe(true);
  });
});

describe('the preset deploy', () => {
  const recipe = parseRecipe({ ...presetOf('deploy'), method: 'rtn' });

  it('fits the smallest model to a size by the bits of attention, embedding and head', () => {
    const source = openSource(mistral, recipe);
    const fitted = (bytes: number): Recipe => fitRest(source, recipe, bytes).recipe;
    expect(tableReads(fitted(10e6))).toEqual({ 2: 8, 3: 8, 4: 8, 8: 8 });
    const least = fitted(430e3);
    expect(tableReads(least)).toMatchObject({ 4: 4, 8: 7 });
    expect(tableReads(least)?.[2]).toBeLessThan(4);
    expect(attentionBitsAt(least, 8)).toBe(8);
    expect(() => fitted(300e3)).toThrow(expect.objectContaining({ code: 'bad-usage' }));
  });
});
