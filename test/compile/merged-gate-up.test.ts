/** Merged gate and up, end to end: the same numbers as with a weight each, since blocks of codes run along the inputs. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, integers, withSession } from '../../src/runtime/runtime.js';
import { COMPILE } from '../support/compile.js';
import { mergedForms } from '../support/merged.js';
import { distance } from '../support/numeric.js';
import { temporaryFolder } from '../support/paths.js';
import { type Block, plainBlock, TOY, toyModel, writeToy } from '../support/toy.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const IDS = integers(
  Array.from({ length: 24 }, (_, at) => (at * 37) % TOY.vocabulary),
  [1, 24],
);
const logits = (path: string): Promise<HostTensor> =>
  withSession(ortRuntime, path, { threads: 1 }, async (session) => {
    return (await session.run({ input_ids: IDS })).logits as HostTensor;
  });

const text = join(root, 'ids.jsonl');
writeFileSync(
  text,
  Array.from({ length: 16 }, (_, line) =>
    JSON.stringify(Array.from({ length: 32 }, (_, at) => (line * 11 + at * 7) % 96)),
  ).join('\n'),
);

/** Compiles a model of such blocks; the path of a graph by bits, and of the model itself. */
async function compiled(name: string, method: 'data-free' | 'best', block: Block, opset: number) {
  const model = writeToy(root, name, toyModel({ block, opset }));
  const recipe = parseRecipe({ method, block: 32, bits: [8, 4], tables: 'fp16' }, 'test');
  const output = join(root, `${name}-${method}`);
  const given = method === 'data-free' ? {} : { text: { ids: text } };
  const { quantized } = await compile({ ...COMPILE, model, output, recipe, ...given }, silentContext());
  return { model, quantized, at: (bits: number) => join(output, `m_int${bits}.onnx`) };
}

const form = (name: string) => mergedForms.find((each) => each.name === name) as (typeof mergedForms)[number];

it.each(['data-free', 'best'] as const)('gives the codes of separate weights by %s', async (method) => {
  const apart = await compiled('apart', method, plainBlock, 18);
  expect(apart.quantized).toBe(6);
  const original = await logits(apart.model);
  for (const name of ['Split with sizes', 'up first', 'columns in turn']) {
    const { block, opset } = form(name);
    const merged = await compiled(name.replaceAll(' ', '-'), method, block, opset);
    expect(merged.quantized).toBe(4);
    expect(distance(original, await logits(merged.model))).toBeLessThan(1e-5);
    for (const bits of [4, 8]) {
      const [one, two] = [await logits(apart.at(bits)), await logits(merged.at(bits))];
      // Other codes differ by .02 at 4 bits.
      expect(distance(one, two)).toBeLessThan(1e-3);
    }
    // Quantized it is, and 8 bits are nearer than 4.
    const far = await Promise.all([4, 8].map(async (bits) => distance(original, await logits(merged.at(bits)))));
    expect(far[1]).toBeGreaterThan(1e-5);
    expect(far[1]).toBeLessThan((far[0] as number) / 3);
  }
});

it.each([
  'a Gemm between reshapes',
  'a FusedMatMul',
  'a transposed weight and a bias',
  'Gather after a Reshape to [2, ffn]',
])('computes what the model does where there is %s', async (name) => {
  const { block, opset } = form(name);
  const { model, at } = await compiled(name.replaceAll(/[^a-z]+/gi, '-'), 'data-free', block, opset);
  const original = await logits(model);
  expect(distance(original, await logits(at(8)))).toBeLessThan(0.05);
});
