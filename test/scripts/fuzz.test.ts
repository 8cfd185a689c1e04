/** The mutators are the same for the same seed and do change things; a wrong model is told from a rounded one. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { writeTiny } from '../../scripts/fuzz/bases.js';
import { compareLogits, divergence } from '../../scripts/fuzz/compare-logits.js';
import { mutateBytes } from '../../scripts/fuzz/mutate-bytes.js';
import { mutateJson } from '../../scripts/fuzz/mutate-json.js';
import { mutateModel } from '../../scripts/fuzz/mutate-model.js';
import { mutateText } from '../../scripts/fuzz/mutate-text.js';
import { changed, mutateWeights } from '../../scripts/fuzz/mutate-weights.js';
import { codeOf } from '../../scripts/fuzz/target.js';
import { CompilerError } from '../../src/diagnostics.js';
import { compile, parseRecipe, silentContext } from '../../src/index.js';
import { decode, encode, MODEL, type ModelProto } from '../../src/onnx/proto/messages.js';
import { createRandom } from '../../src/random.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';

const model = writeTiny(temporaryFolder());
const files = {
  'model.onnx': new Uint8Array(readFileSync(model)),
  'model.onnx.data': new Uint8Array(readFileSync(`${model}.data`)),
};
const json = new TextEncoder().encode(JSON.stringify({ a: [1, 2, { b: 'c' }], d: { e: null } }));

describe('mutations', () => {
  const mutators = {
    bytes: (seed: number) => mutateBytes(files['model.onnx'], createRandom(seed)).bytes,
    json: (seed: number) => mutateJson(json, createRandom(seed)).bytes,
    model: (seed: number) => mutateModel(files['model.onnx'], createRandom(seed)).bytes,
    text: (seed: number) => mutateText(json, createRandom(seed)).bytes,
    weights: (seed: number) => {
      const { files: made } = mutateWeights(files, createRandom(seed));
      return made['model.onnx.data'] as Uint8Array;
    },
  };

  it.each(Object.entries(mutators))('of %s depend on the seed alone and leave their source as it was', (_, mutate) => {
    const before = [json, ...Object.values(files)].map((bytes) => Buffer.from(bytes).toString('base64'));
    const made = Array.from({ length: 30 }, (_, seed) => Buffer.from(mutate(seed)).toString('base64'));
    expect(Array.from({ length: 30 }, (_, seed) => Buffer.from(mutate(seed)).toString('base64'))).toEqual(made);
    expect(new Set(made).size).toBeGreaterThan(10);
    expect([json, ...Object.values(files)].map((bytes) => Buffer.from(bytes).toString('base64'))).toEqual(before);
  });
});

describe('the comparison of logits', () => {
  const folder = temporaryFolder();
  const set = join(folder, 'set');
  const recipe = parseRecipe({ method: 'data-free', bits: [8, 2], block: 32, accuracyLevel: 0 }, 'test');

  it('takes int8 for its source, and neither int2 nor a model of other weights', async () => {
    await compile({ ...COMPILE, model, output: set, recipe }, silentContext());
    const compared = (candidate: string) => compareLogits(model, candidate, [], 32);
    const int8 = await compared(join(set, 'm_int8.onnx'));
    expect(int8.wrong).toBeUndefined();
    expect(int8.kl).toBeLessThan(1e-3);
    const other = join(folder, 'other/model.onnx');
    mkdirSync(join(folder, 'other'));
    const message = decode(MODEL, files['model.onnx']) as ModelProto;
    const data = Uint8Array.from(files['model.onnx.data']);
    const head = message.graph?.initializer?.find(({ name }) => name?.includes('lm_head'));
    changed(head ?? {}, data, (values) => values.reverse());
    writeFileSync(other, encode(MODEL, message));
    writeFileSync(`${other}.data`, data);
    expect((await compared(other)).wrong).toBeDefined();
  });

  it('measures a divergence of nothing between equal logits, and a known one', () => {
    const a = { values: Float32Array.of(0, Math.log(3)), width: 2 };
    const b = { values: Float32Array.of(0, 0), width: 2 };
    expect(divergence(a, a)).toBe(0);
    expect(divergence(a, b)).toBeCloseTo(0.25 * Math.log(0.5) + 0.75 * Math.log(1.5), 6);
  });
});

it('a refusal is told from other errors, whichever build threw it', () => {
  expect(codeOf(new CompilerError('recipe', 'here', 'no'))).toBe('recipe');
  expect(codeOf(new TypeError('no'))).toBeUndefined();
  expect(codeOf('no')).toBeUndefined();
});
