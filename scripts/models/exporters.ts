/** Exporters and post-processors by how they write a decoder. */
import type { After, Exporter } from './spec.js';

const script = { opset: 14, linear: 'MatMul', norm: 'decomposed', attention: 'decomposed', head: 'copy' } as const;
const genai = {
  opset: 21,
  norm: 'skip',
  attention: 'grouped, rotating',
  head: 'transposed',
  activation: 'decomposed',
  cache: true,
} as const;

const BASE: Readonly<Record<string, Exporter>> = {
  dynamo: {
    name: 'torch.onnx, dynamo',
    opset: 18,
    linear: 'Transpose and MatMul',
    head: 'transposed',
    norm: 'decomposed',
  },
  dynamo20: { name: 'torch.onnx, dynamo, opset 20', opset: 20, linear: 'MatMul', head: 'copy', activation: 'operator' },
  dynamo23: {
    name: 'torch.onnx, dynamo, opset 23',
    ...{
      opset: 23,
      linear: 'MatMul',
      norm: 'standard',
      attention: 'standard',
      head: 'transposed',
      activation: 'operator',
    },
  },
  dynamoGemm: { name: 'torch.onnx, dynamo, Gemm', opset: 18, linear: 'Gemm', head: 'Gemm' },
  dynamoNodes: { name: 'torch.onnx, constants as nodes', opset: 18, linear: 'constant nodes', head: 'transposed' },
  script: { name: 'TorchScript', ...script },
  optimum: { name: 'optimum, with past', ...script, opset: 18, cache: true },
  optimumMerged: { name: 'optimum, merged', ...script, cache: true, merged: true },
  genai: { name: 'onnxruntime-genai', ...genai },
  genaiApart: { name: 'onnxruntime-genai, rotary outside', ...genai, attention: 'grouped' },
  multiHead: {
    name: 'ORT transformers optimizer',
    ...script,
    norm: 'simplified',
    attention: 'multi-head',
    activation: 'contrib',
  },
  js: { name: 'transformers.js, written out', ...script, opset: 18, cache: true, norm: 'simplified' },
  jsGrouped: { name: 'transformers.js, grouped-query', ...genai, norm: 'skip', attention: 'grouped' },
  standard: {
    name: 'operators of opset 23, with past',
    ...genai,
    opset: 23,
    norm: 'standard',
    attention: 'standard',
    cache: true,
  },
  einsum: { name: 'products as Einsum', opset: 21, linear: 'Einsum', norm: 'mul', head: 'transposed' },
  fusedMatMul: { name: 'ORT, FusedMatMul', opset: 18, linear: 'FusedMatMul', norm: 'simplified', head: 'transposed' },
};

const TITLES: Readonly<Record<After, string>> = {
  float16: 'float16',
  bfloat16: 'bfloat16',
  'local functions': 'local functions',
  'ORT basic': 'saved by ORT (basic)',
  'ORT extended': 'saved by ORT (extended)',
  'ORT all': 'saved by ORT (all)',
  'weights as inputs': 'weights as inputs',
  QDQ: 'int4 QDQ',
  MatMulNBits: 'int4 MatMulNBits',
  dequantizeSource: '`--dequantize-source`',
};

/** An exporter, and what is done with its graph. */
export function exporter(name: string, ...after: readonly After[]): Exporter {
  const base = BASE[name];
  if (base === undefined) throw new RangeError(`there is no exporter ${name}`);
  return { ...base, name: [base.name, ...after.map((step) => TITLES[step])].join(', '), after };
}
