/** What post-processors do with an exported graph. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession } from 'onnxruntime-node';
import { bytesPayload } from '../../src/files/payload.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { decodeModel } from '../../src/onnx/proto/decode.js';
import { encodeModel } from '../../src/onnx/proto/encode.js';
import { type FunctionProto, long, type ModelProto } from '../../src/onnx/proto/messages.js';
import { halve } from '../../test/support/half-model.js';
import { quantizedSource } from './quantized.js';
import type { After } from './spec.js';

/** Applies one step to the model at `path` and returns the path of the result, in the same folder. */
export async function applied(path: string, step: After, folder: string, at: number): Promise<string> {
  const to = join(folder, `step${at}.onnx`);
  switch (step) {
    case 'float16':
    case 'bfloat16':
    case 'QDQ':
    case 'MatMulNBits': {
      const model = importModel(path);
      if (step === 'float16' || step === 'bfloat16') halve(model, step);
      else quantizedSource(model, step);
      return exportModel(model, to).path;
    }
    case 'dequantizeSource':
      return path;
    case 'local functions':
      return edited(path, to, intoFunctions);
    case 'weights as inputs':
      return edited(path, to, asInputs);
    default: {
      const level = step.slice('ORT '.length) as 'basic' | 'extended' | 'all';
      const options = { graphOptimizationLevel: level, optimizedModelFilePath: to, logSeverityLevel: 3 } as const;
      await (await InferenceSession.create(path, options)).release();
      return to;
    }
  }
}

function edited(path: string, to: string, edit: (model: ModelProto) => void): string {
  const whole = importModel(path);
  exportModel(whole, to, { inline: true });
  const message = decodeModel(bytesPayload(new Uint8Array(readFileSync(to))), to);
  edit(message);
  writeFileSync(to, encodeModel(message));
  return to;
}

/** Every Mul and Sigmoid becomes a call of a function, as torch.onnx writes modules. */
function intoFunctions(model: ModelProto): void {
  const domain = 'pkg.own';
  for (const node of model.graph?.node ?? [])
    if (!node.domain && (node.opType === 'Mul' || node.opType === 'Sigmoid')) node.domain = domain;
  const opsetImport = (model.opsetImport ?? []).filter((each) => !each.domain || each.domain === 'ai.onnx');
  model.opsetImport?.push({ domain, version: long(1) });
  const call = (opType: string, input: string[]): FunctionProto => ({
    name: opType,
    domain,
    input,
    output: ['y'],
    opsetImport,
    node: [{ opType, input, output: ['y'] }],
  });
  model.functions = [call('Mul', ['a', 'b']), call('Sigmoid', ['a'])];
}

/** Weights are listed among the inputs, as IR versions below 4 demand it. */
function asInputs(model: ModelProto): void {
  for (const { name = '', dataType = 1, dims = [] } of model.graph?.initializer ?? [])
    model.graph?.input?.push({
      name,
      type: { tensorType: { elemType: dataType, shape: { dim: dims.map((dimValue) => ({ dimValue })) } } },
    });
}
