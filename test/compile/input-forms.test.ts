import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { bytesPayload } from '../../src/files/payload.js';
import { type CompileResult, compile, type RecipeInput } from '../../src/index.js';
import { decodeModel } from '../../src/onnx/proto/decode.js';
import { encodeModel } from '../../src/onnx/proto/encode.js';
import { long, type ModelProto } from '../../src/onnx/proto/messages.js';
import { fixture, temporaryFolder } from '../support/paths.js';

const original = fixture('models/mistral-656k/model.onnx');

/** The fixture in another spelling, compiled. */
async function compiled(edit: (model: ModelProto) => void, more: RecipeInput = {}): Promise<CompileResult> {
  const folder = temporaryFolder();
  const message = decodeModel(bytesPayload(new Uint8Array(readFileSync(original))), original);
  edit(message);
  const model = join(folder, 'model.onnx');
  writeFileSync(model, encodeModel(message));
  const recipe: RecipeInput = { method: 'rtn', decode: 'tied', bits: [8], ...more };
  return compile({ model, output: join(folder, 'set'), recipe, threads: 1 });
}

describe('exports of other forms', () => {
  let plain: CompileResult;
  const same = (result: CompileResult): void => {
    expect(result.projections.map(({ id }) => id)).toEqual(plain.projections.map(({ id }) => id));
    const [found, wanted] = [result, plain].map(({ precisions }) => precisions[0]?.probe?.kl ?? Number.NaN);
    expect(found).toBeCloseTo(wanted as number, 6);
  };

  beforeAll(async () => {
    plain = await compiled(() => undefined);
  }, 60_000);

  it('with local functions give the same set as without', async () => {
    const result = await compiled((model) => {
      const calls = (model.graph?.node ?? []).filter(({ opType }) => opType === 'Mul' || opType === 'Sigmoid');
      for (const node of calls) node.domain = 'own';
      model.opsetImport?.push({ domain: 'own', version: long(1) });
      const opsetImport = (model.opsetImport ?? []).filter(({ domain }) => !domain || domain === 'ai.onnx');
      const body = (opType: string, input: string[]): NonNullable<ModelProto['functions']>[number] => ({
        name: opType,
        domain: 'own',
        input,
        output: ['y'],
        opsetImport,
        node: [{ opType, input, output: ['y'] }],
      });
      model.functions = [body('Mul', ['a', 'b']), body('Sigmoid', ['a'])];
      expect(calls.length).toBeGreaterThan(4);
    });
    same(result);
  }, 60_000);

  it('with weights that are inputs too give the same set, on request', async () => {
    const result = await compiled(
      (model) => {
        for (const { name = '', dataType = 1, dims = [] } of model.graph?.initializer ?? [])
          model.graph?.input?.push({
            name,
            type: { tensorType: { elemType: dataType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
          });
      },
      { initializerInputs: 'constant' },
    );
    same(result);
  }, 60_000);
});
