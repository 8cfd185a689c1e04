/** Slices with float16 activations: caches, values that float16 does not hold, and weights that are shared with the float32 form. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/index.js';
import { roundedCopy } from '../../src/evaluate/rounded-copy.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { nodesOf } from '../../src/onnx/ir/graph.js';
import { toFloat32 } from '../../src/onnx/ir/half.js';
import { float32s, type Tensor } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import type { RecipeInput } from '../../src/recipe/index.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds, stepFeeds, stepFetches } from '../../src/runtime/feeds.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, numbersOf } from '../../src/runtime/runtime.js';
import { inFloat16 } from '../../src/set/half-template.js';
import { openSet, openTemplate, SetTensors, slice, writeModel } from '../../src/set/index.js';
import { runChild } from '../support/command-line.js';
import { distance } from '../support/numeric.js';
import { fixture, temporaryFolder } from '../support/paths.js';

const SOURCE = fixture('models/mistral-656k/model.onnx');
const IDS = [1, 80, 147, 682, 80, 189, 111];
const recipe = {
  method: 'rtn',
  bits: [8, 4],
  block: 32,
  embeddingBits: 4,
  target: 'browser',
  accuracyLevel: 0,
} as const;

let root: string;
let set: string;
beforeAll(async () => {
  root = temporaryFolder();
  set = await compiled(SOURCE, 'set');
});

async function compiled(model: string, name: string, own: RecipeInput = recipe): Promise<string> {
  await compile({ model, output: join(root, name), name: 'model', recipe: own, threads: 1 });
  return join(root, name, 'model.json');
}

/** Logits of a prompt and of one more token on its caches, and the types of caches and logits. */
async function run(path: string): Promise<{ prompt: HostTensor; next: HostTensor; types: readonly string[] }> {
  const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
  try {
    const first = await decoder.session.run(promptFeeds(decoder, IDS), stepFetches(decoder));
    const next = await decoder.session.run(stepFeeds(decoder, 91, IDS.length, first), ['logits']);
    const types = decoder.caches.flatMap(({ input, output = '' }) => [input.dtype, first[output]?.dtype ?? '']);
    const all = [decoder.logits.dtype, ...new Set(types)];
    return { prompt: first['logits'] as HostTensor, next: next['logits'] as HostTensor, types: all };
  } finally {
    await decoder.session.close();
  }
}

/** The fixture with some of its weights multiplied. */
function scaled(name: string, factors: readonly (readonly [RegExp, number])[]): string {
  const model = importModel(SOURCE);
  const rw = new Rewriter(model);
  for (const value of [...model.graph.initializers]) {
    const factor = factors.find(([match]) => match.test(value.name))?.[1];
    if (factor !== undefined) rw.setTensor(value, times(value.initializer as Tensor, factor));
  }
  return exportModel(model, join(root, name)).path;
}

const times = (tensor: Tensor, factor: number): Tensor =>
  float32s(
    toFloat32(tensor.bytes(), 'float32').map((value) => factor * value),
    tensor.shape,
  );

/** Whether the logits are finite where every float16 value is rounded. */
async function staysFinite(path: string): Promise<boolean> {
  const rounded = roundedCopy(path);
  try {
    return numbersOf((await run(rounded.path)).prompt).every(Number.isFinite);
  } finally {
    rounded.close();
  }
}

/** Types of the first inputs of the nodes with this name. */
const inputTypes = (path: string, name: string): readonly (string | undefined)[] =>
  [...nodesOf(importModel(path).graph)]
    .filter((node) => node.name.startsWith(name))
    .flatMap(({ inputs }) => inputs.map((value) => value?.type?.dtype));

describe('a slice in float16', () => {
  it('has float16 caches and the logits of the float32 form, self-contained and nested, over the same bytes', async () => {
    const plain = join(root, 'plain/model.onnx');
    const alone = join(root, 'alone/model.onnx');
    const nested = join(root, 'set/model_int4f16.onnx');
    await slice({ set, bits: 4, output: plain, standalone: true });
    const { float16 } = await slice({ set, bits: 4, output: alone, standalone: true, float16: true });
    await slice({ set, bits: 4, output: nested, float16: true });
    expect(readFileSync(`${alone}_data`).equals(readFileSync(`${plain}_data`))).toBe(true);
    // The masks alone; squares in norms are float32 in any case.
    expect(float16?.wide.map(({ name }) => name)).toEqual(expect.arrayContaining([expect.stringMatching(/Where_2/)]));
    expect(float16?.wide.every(({ name }) => /self_attn\/(Where_2|Add_2)_/.test(name))).toBe(true);
    const expected = await run(plain);
    expect(expected.types).toEqual(['float32', 'float32']);
    for (const path of [alone, nested]) {
      const found = await run(path);
      expect(found.types).toEqual(['float32', 'float16']);
      for (const step of ['prompt', 'next'] as const) {
        const off = distance(expected[step], found[step]);
        expect(off).toBeLessThan(0.02);
        expect(off).toBeGreaterThan(0);
      }
    }
    const { manifest } = openSet(set);
    expect(manifest.graphs.map(({ name }) => name)).toEqual(['int4', 'int8', 'int4f16']);
    // What is made of the set later comes from a float32 graph while there is one, and from this one otherwise.
    const eight = join(root, 'eight/model.onnx');
    await slice({ set, bits: 8, output: eight });
    expect((await run(eight)).types).toEqual(['float32', 'float32']);
    const moved = join(root, 'moved/model.onnx');
    await slice({ set, bits: 4, output: moved, float16: true });
    const again = join(root, 'again/model.onnx');
    await slice({ set: moved.replace(/onnx$/, 'json'), bits: 4, output: again });
    expect((await run(again)).next).toEqual((await run(moved)).next);
  });

  it('keeps a residual stream beyond float16 in float32', async () => {
    // A norm takes the factor away, so the logits stay; the head has weights of its own.
    const large = scaled('large.onnx', [[/embed_tokens/, 5e4]]);
    const from = await compiled(large, 'large');
    const output = join(root, 'large-half/model.onnx');
    const { float16 } = await slice({ set: from, bits: 4, output, standalone: true, float16: true });
    expect(float16?.wide.map(({ name }) => name)).toEqual(expect.arrayContaining(['/model/layers.1/Add_1_output_0']));
    expect(inputTypes(output, '/model/layers.1/Add_1')).not.toContain('float16');
    const plain = join(root, 'large-plain/model.onnx');
    await slice({ set: from, bits: 4, output: plain, standalone: true });
    const [expected, found] = [await run(plain), await run(output)];
    expect(numbersOf(found.next).every(Number.isFinite)).toBe(true);
    expect(await staysFinite(output)).toBe(true);
    // Without the measurement the stream is infinite on a GPU, and a processor does not show it.
    const wrong = join(root, 'large-wrong/model.onnx');
    mkdirSync(join(root, 'large-wrong'));
    const open = openTemplate(from);
    const tensors = new SetTensors(open.set.manifest.data, open.set.dataPath);
    const reader = tensors.reader(open.layout);
    const selection = { name: 'int4f16', bits: 4, bitsOf: () => 4 } as const;
    writeModel({ template: inFloat16(open.template, new Set()), reader, accuracyLevel: 0 }, selection, wrong);
    tensors.close();
    expect(await staysFinite(wrong)).toBe(false);
    expect(distance(expected.next, found.next)).toBeLessThan(0.02);
  });

  it('reads nested token tables, which the head shares with the look-up', async () => {
    const tables = { embeddingBits: { 2: 3 }, frequentIds: { share: 0.25, bits: { 2: 4 } } } as const;
    const from = await compiled(SOURCE, 'tables', {
      method: 'rtn',
      bits: [8, 2],
      block: 32,
      accuracyLevel: 0,
      ...tables,
    });
    const half = join(root, 'tables/model_int2f16.onnx');
    await slice({ set: from, bits: 2, output: half, float16: true });
    const [expected, found] = [await run(join(root, 'tables/model_int2.onnx')), await run(half)];
    expect(found.types).toEqual(['float32', 'float16']);
    expect(distance(expected.next, found.next)).toBeLessThan(0.02);
  });

  it('refuses a model whose caches leave the range of float16', async () => {
    const v = importModel(SOURCE).graph.nodes.find(({ name }) => /layers\.0.*v_proj\/MatMul/.test(name))?.inputs[1]
      ?.name;
    const beyond = await compiled(scaled('beyond.onnx', [[new RegExp(`^${v}$`), 1e6]]), 'beyond');
    const output = join(root, 'beyond-half/model.onnx');
    const refused = slice({ set: beyond, bits: 4, output, standalone: true, float16: true });
    await expect(refused).rejects.toMatchObject({ code: 'float16-range', at: 'present.0.value' });
    expect(() => readFileSync(output)).toThrow();
  });

  it('is asked for by flags, and says what stays float32', () => {
    const output = join(root, 'flags/model.onnx');
    const ids = join(root, 'ids.jsonl');
    writeFileSync(ids, `[${IDS}]\n`);
    const made = runChild(['slice', set, '--bits', '4', '-o', output, '--standalone', '--float16', '--ids', ids]);
    expect(made).toMatchObject({ code: 0 });
    expect(made.stdout).toMatch(/\n\d+ of \d+ activations measured over the text stay float32, masks included\./);
    const wrong = runChild(['compile', SOURCE, '-o', join(root, 'wrong'), '--float16', '--preset', 'data-free']);
    expect(wrong.code).toBe(2);
    expect(wrong.stderr).toContain('--float16 has no effect without --for transformers.js');
  });

  it('refuses other forms, and text that it has no use for', async () => {
    const output = join(root, 'none/model.onnx');
    const base = { set, bits: 4, output, standalone: true };
    for (const wrong of [
      { float16: true, slice: 'paper' },
      { float16: true, format: 'qdq' },
      { text: { ids: 'x' } },
    ] as const)
      await expect(slice({ ...base, ...wrong })).rejects.toMatchObject({ code: 'bad-usage' });
  });
});
