/** Mixes of a small trained model: chosen by estimates and by running them, written in every form, and scored by the runtime. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { sealedJson } from '../../src/files/seal.js';
import { silentContext } from '../../src/log.js';
import { type MixGoal, type MixOptions, type MixResult, type MixSearch, mix } from '../../src/mix/mix.js';
import { openMeter } from '../../src/mix/mix-meter.js';
import { mergeEntries, type SensitivityEntry } from '../../src/mix/sensitivity-file.js';
import { sweep } from '../../src/mix/sweep.js';
import { importModel } from '../../src/onnx/convert/import.js';
import type { Precision } from '../../src/quant/precision.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { openSet } from '../../src/set/set-manifest.js';
import { openTemplate } from '../../src/set/set-template.js';
import { temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

const context = silentContext();
const machine = { threads: 2, memoryBytes: 2e9 };
let root: string;
let set: string;
let measure: NonNullable<MixSearch['measure']>;
beforeAll(async () => {
  root = temporaryFolder();
  const ids = writeIds(join(root, 'ids.jsonl'), heldWindows(6));
  measure = { text: { ids }, window: 256, tokens: 700, ...machine };
  // Activations in float, so that the graphs compute what the search does; 5 and 7 bits are precisions like any other.
  const recipe = parseRecipe({ method: 'data-free', bits: [8, 7, 5, 4, 3, 2], block: 32, accuracyLevel: 0 }, 'test');
  const options = { recipe, seed: 0, standalone: false, strict: false, ...machine };
  await compile({ model: mistral, output: join(root, 'set'), name: 'model', ...options }, context);
  set = join(root, 'set', 'model.json');
});
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
const output = (): string => join(root, `mix${count++}`, 'model.onnx');
const sensitivities = (): string => join(root, 'set', 'model.sensitivity.json');
const perProjection: MixSearch = { per: 'projection' };

function mixed(goal: MixGoal, more: Partial<MixOptions> = {}): Promise<MixResult> {
  return mix({ set, goal, output: output(), standalone: false, search: perProjection, ...more }, context);
}

async function klOf(path: string, windows = 3): Promise<number> {
  const text = { reference: mistral, candidates: [path], text: measure.text, window: 256, windows, threads: 2 };
  const { candidates } = await evaluate({ ...text, speed: false }, context);
  return candidates[0]?.kl ?? Number.NaN;
}

describe('the meter', () => {
  it('measures every precision as the graphs of the set do', async () => {
    const bits = [2, 3, 4, 5, 7, 8] as const;
    const candidates = bits.map((each) => join(root, 'set', `model_int${each}.onnx`));
    const text = { reference: mistral, candidates, text: measure.text, window: 256, windows: 2, threads: 2 };
    const expected = await evaluate({ ...text, speed: false }, context);
    const meter = await openMeter(openTemplate(set), { ...measure, original: mistral, tokens: 257 }, context);
    try {
      for (const [at, each] of bits.entries()) {
        const { kl, nll, deltaNll, positions } = await meter.meter.measure(
          new Map([...meter.parent.keys()].map((id) => [id, each as Precision])),
        );
        const score = expected.candidates[at];
        expect(positions).toBe(score?.positions);
        expect(kl).toBeCloseTo(score?.kl ?? 0, 6);
        expect(nll).toBeCloseTo(score?.nll ?? 0, 5);
        expect(deltaNll).toBeCloseTo(score?.deltaNll ?? 0, 5);
      }
    } finally {
      await meter.close();
    }
  });
});

describe('mix by average bits', () => {
  it('chooses from what the set alone says, and describes itself', async () => {
    const result = await mixed({ averageBits: 3.5 });
    expect(result.averageBits).toBeLessThanOrEqual(3.5);
    // Nothing is left that one more bit for one of the six projections could use.
    expect(result.averageBits).toBeGreaterThan(3.5 - 1 / 6);
    expect(result.search).toMatchObject({ method: 'dp', per: 'projection', evaluations: 0 });
    expect(result.files.map(({ path }) => basename(path))).toEqual(['model.onnx', 'model.onnx_data']);
    const [mixture, two] = [result.files[0]?.path as string, join(root, 'set', 'model_int2.onnx')];
    expect(await klOf(mixture)).toBeLessThan(0.5 * (await klOf(two)));
    const { metadata } = importModel(result.files[0]?.path as string);
    expect(metadata.get('matquant.precision')).toBe('mix_3.5bits');
    expect(JSON.parse(metadata.get('matquant.mix') ?? '')).toEqual(result.bits);
  });

  it('counts int3 as 4 bits where it lies in a container of 4', async () => {
    const result = await mixed({ averageBits: 3 }, { standalone: true });
    const bits = Object.values(result.bits);
    expect(bits).not.toContain(3);
    expect(bits.reduce((sum, each) => sum + each, 0) / bits.length).toBeLessThanOrEqual(3);
  });

  it('is one more graph on the set, listed with how it was found', async () => {
    const result = await mix({ set, goal: { averageBits: 4.5 }, standalone: false }, context);
    expect(result.files.map(({ path }) => basename(path))).toEqual(['model_mix_4.5bits.onnx']);
    const { graphs, provenance } = openSet(set).manifest;
    expect(graphs.find(({ name }) => name === 'mix_4.5bits')).toMatchObject({ bits: result.bits });
    expect(provenance['mixes']).toMatchObject({ 'mix_4.5bits': { goal: { averageBits: 4.5 }, method: 'dp' } });
    expect(await klOf(result.files[0]?.path as string)).toBeLessThan(await klOf(join(root, 'set', 'model_int4.onnx')));
  });

  it('keeps projections to given bits and chooses from given precisions', async () => {
    const fixed = [{ match: 'down$', bits: 5 }];
    const result = await mixed({ averageBits: 4 }, { search: { ...perProjection, fixed, bits: [2, 4] } });
    for (const [id, bits] of Object.entries(result.bits)) {
      if (id.endsWith('down')) expect(bits).toBe(5);
      else expect([2, 4]).toContain(bits);
    }
    expect(result.averageBits).toBeLessThanOrEqual(4);
  });

  it('saves bits that make the same model again', async () => {
    const saveBits = join(root, 'bits.json');
    const first = await mixed({ averageBits: 4 }, { saveBits });
    const second = await mixed({ bitsFile: saveBits });
    const [one, other] = [first, second].map(({ files }) => files.map(({ path }) => readFileSync(path)));
    expect(second.bits).toEqual(first.bits);
    expect(other?.[1]?.equals(one?.[1] as Buffer)).toBe(true);
  });

  it.each(['pyramid', 'reverse', 'increasing', 'decreasing'] as const)('writes the shape %s', async (shape) => {
    const { layers, search } = await mixed({ averageBits: 6 }, { search: { shape } });
    expect(layers.map(({ bits }) => bits).toSorted()).toEqual([4, 8]);
    if (shape === 'increasing') expect(layers.map(({ bits }) => bits)).toEqual([4, 8]);
    if (shape === 'decreasing') expect(layers.map(({ bits }) => bits)).toEqual([8, 4]);
    expect(search?.method).toBe(shape);
  });
});

describe('mix by size', () => {
  it.each([
    [1.75e6, false],
    [1.9e6, false],
    [1.8e6, true],
  ])('comes within a projection of %d bytes from below (standalone: %s)', async (targetBytes, standalone) => {
    const result = await mixed({ targetBytes }, { standalone });
    const bytes = result.files.reduce((sum, { path }) => sum + readFileSync(path).length, 0);
    expect(result.totalBytes).toBe(bytes);
    expect(bytes).toBeLessThanOrEqual(targetBytes);
    // One projection is 128 x 384 weights: 49,152 bytes of int8.
    expect(bytes).toBeGreaterThan(targetBytes - 128 * 384);
    expect(await klOf(result.files[0]?.path as string)).toBeLessThan(1);
  });

  it('says what the smallest takes', async () => {
    await expect(mixed({ targetBytes: 1e6 })).rejects.toMatchObject({ code: 'bad-usage', at: 'goal.targetBytes' });
  });
});

describe('mix on text', () => {
  const search = (): MixSearch => ({ ...perProjection, measure, evaluations: 40 });

  it('keeps every measurement, goes on where it was, and merges other texts', async () => {
    const first = await mixed({ averageBits: 3 }, { search: search() });
    expect(first.search).toMatchObject({ method: 'local', reference: 'parent', sensitivityEvaluations: 31 });
    const { entries } = JSON.parse(readFileSync(sensitivities(), 'utf8')) as { entries: SensitivityEntry[] };
    expect(entries).toHaveLength(31);
    writeFileSync(
      sensitivities(),
      sealedJson({ ...JSON.parse(readFileSync(sensitivities(), 'utf8')), entries: entries.slice(0, 20) }),
    );
    const second = await mixed({ averageBits: 3 }, { search: search() });
    expect(second.search?.sensitivityEvaluations).toBe(11);
    expect(second.bits).toEqual(first.bits);
    const other = { ...measure, skip: 700 };
    const third = await mixed({ averageBits: 3 }, { search: { ...search(), measure: other, method: 'dp' } });
    expect(third.search?.sensitivityEvaluations).toBe(31);
    const merged = JSON.parse(readFileSync(sensitivities(), 'utf8')) as { entries: SensitivityEntry[] };
    expect(merged.entries).toHaveLength(62);
    expect(mergeEntries([...merged.entries.toReversed(), ...entries])).toEqual(merged.entries);
  });

  it('is no worse than any shape or uniform precision on the text, and what it says is what the graph does', async () => {
    const found = await mixed(
      { averageBits: 3 },
      { search: { ...search(), measure: { ...measure, original: mistral } } },
    );
    const kl = await klOf(found.files[0]?.path as string, found.search === undefined ? 0 : 5);
    expect(found.search?.kl).toBeDefined();
    expect(found.search?.evaluations).toBeLessThanOrEqual(40);
    for (const shape of ['pyramid', 'decreasing'] as const) {
      const shaped = await mixed(
        { averageBits: 3 },
        { search: { ...search(), shape, measure: { ...measure, original: mistral } } },
      );
      expect(found.search?.kl).toBeLessThanOrEqual(shaped.search?.kl as number);
      expect(kl).toBeLessThan(await klOf(shaped.files[0]?.path as string, 5));
    }
  });

  it('finds the smallest mix under a bound on KL', async () => {
    const result = await mixed({ maxKl: 0.1 }, { search: search() });
    expect(result.search?.kl).toBeLessThanOrEqual(0.1);
    const larger = await mixed({ maxKl: 0.002 }, { search: search() });
    expect(larger.averageBits).toBeGreaterThan(result.averageBits + 1);
    const estimated = await mixed({ maxKl: 0.05 });
    expect(estimated.search?.estimate).toBeLessThanOrEqual(0.05);
  });

  it('sweeps', async () => {
    const score = { ...measure, skip: 700, tokens: 300 };
    const options = { set, averageBits: [3], methods: ['dp', 'local'] as const, score };
    const result = await sweep({ ...options, search: { ...search(), measure } }, context);
    expect(existsSync(result.path)).toBe(true);
    const kls = result.points.filter(({ kind }) => kind === 'uniform').map(({ kl }) => kl);
    expect(kls).toEqual(kls.toSorted((a, b) => b - a));
    expect(kls.at(-1)).toBe(0);
    const at = (name: string): number => result.points.find((point) => point.name === name)?.searchKl ?? 0;
    expect(at('local 3')).toBeLessThanOrEqual(Math.min(at('dp 3'), at('pyramid 3'), at('int3')));
    for (const point of result.points) {
      const beaten = result.points.some((other) => other.bytes < point.bytes && other.kl < point.kl);
      expect(point.isBest && beaten).toBe(false);
    }
  });
});

describe('mix refuses', () => {
  it.each<[Partial<MixSearch>, MixGoal, string]>([
    [{ method: 'local' }, { averageBits: 3 }, 'bad-usage'],
    [{ bits: [6] }, { averageBits: 3 }, 'no-precision'],
    [{ fixed: [{ match: 'nothing', bits: 4 }] }, { averageBits: 3 }, 'bad-usage'],
    [{ fixed: [{ match: '(', bits: 4 }] }, { averageBits: 3 }, 'bad-usage'],
    [{ fixed: [{ match: '.', bits: 6 }] }, { averageBits: 3 }, 'no-precision'],
    [{}, { averageBits: 1.5 }, 'bad-usage'],
    [{ shape: 'pyramid' }, { maxKl: 0.1 }, 'bad-usage'],
    [{ sensitivities: ['nowhere.json'] }, { averageBits: 3 }, 'file-missing'],
  ])('%j', async (search, goal, code) => {
    const path = output();
    await expect(mix({ set, goal, search, output: path, standalone: false }, context)).rejects.toMatchObject({ code });
    expect(existsSync(path)).toBe(false);
  });

  it('sensitivities of another set', async () => {
    const path = join(root, 'other.json');
    writeFileSync(path, sealedJson({ format: 'matquant-sensitivity', version: 1, set: 'x', entries: [] }));
    await expect(mixed({ averageBits: 3 }, { search: { sensitivities: [path] } })).rejects.toMatchObject({
      code: 'report-input',
    });
  });
});
