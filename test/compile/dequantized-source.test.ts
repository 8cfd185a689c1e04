/** A source that another quantizer wrote: refused, or taken as a float model on request. */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { architecture } from '../../scripts/models/architectures.js';
import { decoderOf } from '../../scripts/models/decoder.js';
import { exporter } from '../../scripts/models/exporters.js';
import { quantizedSource } from '../../scripts/models/quantized.js';
import { compile } from '../../src/compile/compile.js';
import { inspect } from '../../src/compile/inspect.js';
import { silentContext } from '../../src/log.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { int } from '../../src/onnx/ir/attribute.js';
import { nodesOf } from '../../src/onnx/ir/graph.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { runChild } from '../support/command-line.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const model = join(root, 'model.onnx');
const source = decoderOf(architecture('mistral'), exporter('optimum'));
quantizedSource(source, 'MatMulNBits');
exportModel(source, model);
const recipe = { method: 'data-free', bits: [8, 4], block: 32 };

it('is refused with the name of the option', () => {
  const { code, stderr } = runChild(['compile', model, '-o', join(root, 'refused'), '--preset', 'data-free']);
  expect(code).toBe(2);
  expect(stderr).toContain('[already-quantized]');
  expect(stderr).toContain('--dequantize-source');
});

it('says that the option does not read its form', async () => {
  const path = join(root, 'other.onnx');
  const other = decoderOf(architecture('mistral'), exporter('optimum'));
  quantizedSource(other, 'MatMulNBits');
  const rw = new Rewriter(other);
  for (const node of nodesOf(other.graph))
    if (node.op === 'MatMulNBits') rw.setAttribute(node, 'weight_prepacked', int(1));
  exportModel(other, path);
  const parsed = parseRecipe({ ...recipe, dequantizeSource: true }, 'test');
  await expect(
    compile({ ...COMPILE, model: path, output: join(root, 'none'), recipe: parsed }, silentContext()),
  ).rejects.toThrow(
    expect.objectContaining({ code: 'already-quantized', message: expect.stringContaining('does not read') }),
  );
});

it('is compiled where the option is set, and says that figures compare with it', async () => {
  const parsed = parseRecipe({ ...recipe, dequantizeSource: true }, 'test');
  const { passes } = await inspect({ model, recipe: parsed });
  // Seven products in each of two layers.
  expect(passes).toEqual([{ name: 'dequantize-weights', changes: expect.any(Number) }]);
  const warnings: string[] = [];
  const context = { ...silentContext(), log: { ...silentContext().log, warn: (text: string) => warnings.push(text) } };
  const output = join(root, 'set');
  const result = await compile({ ...COMPILE, model, output, recipe: parsed }, context);
  expect(result.quantized).toBe(6);
  expect(warnings.join()).toContain('The source is quantized');
  const manifest = JSON.parse(readFileSync(join(output, 'm.json'), 'utf8'));
  expect(manifest.provenance.source).toContain('quantized');
  expect(manifest.recipe.dequantizeSource).toBe(true);
  // The reference is the quantized source as it runs.
  const [int4, int8] = result.precisions.map(({ probe }) => probe?.kl ?? Number.NaN) as [number, number];
  expect(int8).toBeLessThan(int4 / 3);
});

it('has no such note where nothing was quantized', async () => {
  const float = join(root, 'float.onnx');
  exportModel(decoderOf(architecture('mistral'), exporter('optimum')), float);
  const output = join(root, 'plain');
  const parsed = parseRecipe({ ...recipe, method: 'rtn', dequantizeSource: true }, 'test');
  await compile({ ...COMPILE, model: float, output, recipe: parsed }, silentContext());
  expect(JSON.parse(readFileSync(join(output, 'm.json'), 'utf8')).provenance.source).toBeUndefined();
});
