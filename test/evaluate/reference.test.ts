/** bfloat16 exports through compile: as they are they cannot be run here, computed in float32 they can. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type CompileResult, compile } from '../../src/compile/compile.js';
import { evaluate } from '../../src/evaluate/evaluate-files.js';
import { type Context, silentContext } from '../../src/log.js';
import { fileSizesOf } from '../../src/onnx/convert/file-sizes.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { parseRecipe, presetOf, type RecipeInput } from '../../src/recipe/recipe.js';
import { writeHalf } from '../support/half-model.js';
import { temporaryFolder } from '../support/paths.js';
import { heldWindows, mistral, writeIds } from '../support/stories.js';

const root = temporaryFolder();
const source = join(root, 'model.onnx');
afterAll(() => rmSync(root, { recursive: true }));

beforeAll(() => writeHalf(mistral, source, 'bfloat16'));

async function compiled(recipe: RecipeInput): Promise<CompileResult & { readonly warnings: readonly string[] }> {
  const warnings: string[] = [];
  const silent = silentContext();
  const context: Context = { ...silent, log: { ...silent.log, warn: (text) => warnings.push(text) } };
  const options = { threads: 2, memoryBytes: 2e9, seed: 0, standalone: false, strict: true };
  const result = await compile(
    { model: source, output: join(root, 'set'), name: 'model', recipe: parseRecipe(recipe, 'test'), ...options },
    context,
  );
  return { ...result, warnings };
}

describe('a bfloat16 export', () => {
  it('is measured in float32 and written in bfloat16, and it is said that it was not compared', async () => {
    const { precisions, quantized, warnings } = await compiled({ method: 'data-free', block: 32 });
    expect(quantized).toBe(6);
    expect(warnings).toEqual([expect.stringContaining('"compute": "float32"')]);
    expect(precisions.map(({ probe }) => probe)).toEqual(precisions.map(() => undefined));
    const { graph } = importModel(join(root, 'set/model_int4.onnx'));
    expect(graph.outputs[0]?.type?.dtype).toBe('bfloat16');
  });

  it('runs everywhere once it computes in float32, close to itself', async () => {
    const { precisions, warnings } = await compiled({
      ...presetOf('deploy-int8'),
      method: 'data-free',
    });
    expect(warnings).toEqual([]);
    expect(precisions[0]?.probe).toMatchObject({ isRandom: true });
    expect(precisions[0]?.probe?.kl).toBeLessThan(0.01);
    expect(importModel(join(root, 'set/model_int8.onnx')).graph.outputs[0]?.type?.dtype).toBe('float32');
    const ids = writeIds(join(root, 'ids.jsonl'), heldWindows(1));
    const candidates = [join(root, 'set/model_int8.onnx')];
    const scored = { reference: source, candidates, text: { ids }, window: 256, threads: 2, speed: false };
    const { reference, candidates: scores } = await evaluate(scored, silentContext());
    expect(reference).toMatchObject({ path: source, fileBytes: fileSizesOf(source).fileBytes });
    expect(scores[0]?.kl).toBeLessThan(0.01);
  });
});
