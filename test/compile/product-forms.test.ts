/** Products written as Einsum are compiled like those of MatMul, to the same numbers. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import type { Tensor } from '../../src/onnx/ir/tensor.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, integers, withSession } from '../../src/runtime/runtime.js';
import { COMPILE } from '../support/compile.js';
import { distance } from '../support/numeric.js';
import { temporaryFolder } from '../support/paths.js';
import { linears } from '../support/spellings.js';
import { type Block, plainBlock, silu, toyModel, writeToy } from '../support/toy.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

const block =
  (form: 'einsum' | 'einsum of a transpose, weight first'): Block =>
  (b, x, { gate, up, down }, layer) => {
    const product = (input: Value, weight: Tensor, name: string): Value =>
      linears[form](b, input, weight, `l${layer}_${name}`);
    return product(b.op('Mul', [silu(b, product(x, gate, 'gate')), product(x, up, 'up')]), down, 'down');
  };

const logits = (path: string): Promise<HostTensor> =>
  withSession(ortRuntime, path, { threads: 1 }, async (session) => {
    return (await session.run({ input_ids: integers([5, 9, 2, 80, 41], [1, 5]) })).logits as HostTensor;
  });

it('Einsum in the form of a product gives what MatMul gives', async () => {
  const made = async (name: string, each: Block): Promise<HostTensor> => {
    const model = writeToy(root, name, toyModel({ block: each }));
    const recipe = parseRecipe({ method: 'data-free', block: 32, bits: [8, 4] }, 'test');
    const { quantized } = await compile({ ...COMPILE, model, output: join(root, name), recipe }, silentContext());
    expect(quantized).toBe(6);
    return logits(join(root, name, 'm_int4.onnx'));
  };
  const plain = await made('plain', plainBlock);
  for (const form of ['einsum', 'einsum of a transpose, weight first'] as const)
    expect(distance(plain, await made(form.slice(0, 9).replaceAll(' ', '-'), block(form)))).toBeLessThan(1e-3);
});
