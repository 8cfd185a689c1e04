/** The rows of docs/models.md. */
import { architecture } from './architectures.js';
import { exporter } from './exporters.js';
import type { After, Architecture, Exporter } from './spec.js';

/** A model that is built, or one of the fixtures. */
export type Row =
  | { readonly spec: Architecture; readonly form: Exporter }
  | {
      readonly fixture: string;
      readonly architecture: string;
      readonly exporter: string;
      readonly after?: readonly After[];
    };

type Listed = readonly [string, ...(string | readonly [string, ...After[]])[]];

const LISTED: readonly Listed[] = [
  ['gemma1', 'dynamo', 'script', 'optimumMerged', 'genaiApart', 'einsum'],
  ['gemma2', 'dynamo', 'optimum', 'genaiApart', ['dynamo', 'float16']],
  [
    'gemma3',
    'dynamo',
    'dynamo20',
    'dynamo23',
    'optimum',
    'genai',
    'js',
    ['dynamo', 'bfloat16'],
    ['dynamo', 'ORT extended'],
  ],
  ['gemma3Vectors', 'js', 'jsGrouped'],
  ['gemma3n', 'dynamo', 'optimum'],
  ['gemma3nVectors', 'js'],
  ['gemma4', 'dynamo', 'optimum'],
  ['gemma4Vectors', 'js'],
  ['gemma4Dense', 'dynamo', 'genai'],
  ['gemma4Experts', 'optimum'],
  ['gemma4Fused', 'standard'],
  [
    'mistral',
    'dynamo',
    'dynamoGemm',
    'dynamoNodes',
    'script',
    'optimum',
    'optimumMerged',
    'genai',
    'multiHead',
    'jsGrouped',

    ['dynamo', 'local functions'],
    ['optimum', 'ORT basic'],
    ['optimum', 'ORT all'],
    ['genai', 'float16'],

    ['script', 'weights as inputs'],
    ['dynamo', 'bfloat16'],
    'fusedMatMul',
    ['optimum', 'MatMulNBits'],
    ['standard', 'QDQ'],
    ['optimum', 'MatMulNBits', 'dequantizeSource'],
    ['standard', 'QDQ', 'dequantizeSource'],
  ],
  ['nemo', 'genai', 'standard'],
  ['ministral', 'genai', 'optimum'],
  ['ministral3', 'dynamo', 'optimum', 'genaiApart', 'standard'],
  ['small3', 'js'],
  ['mixtral', 'optimum', 'dynamo'],
  ['mixtralGathered', 'dynamo'],
  ['mixtralSliced', 'optimum'],
  ['mixtralSplit', 'dynamo'],
  ['mixtralEinsum', 'einsum'],
  ['mixtralBatched', 'dynamo'],
  ['mixtralChosen', 'dynamo'],
  ['mixtralFused', 'genai'],
  ['large3', 'standard'],
  ['qwenExperts', 'optimum'],
  ['qwen2Experts', 'optimum'],
  ['llama2', 'dynamo', 'optimumMerged', 'multiHead'],
  ['llama3', 'genai', ['genai', 'ORT extended']],
  ['llama32', 'dynamo23', 'js'],
  ['smollm2', 'js', 'jsGrouped'],
  ['smollm3', 'optimum', 'genai'],
  ['qwen2', 'dynamo', 'genai'],
  ['qwen3', 'dynamo', 'genaiApart'],
  ['phi3', 'dynamo', 'genai', 'multiHead'],
  ['phi4', 'optimum', 'genaiApart'],
  ['glm4', 'optimum'],
  ['granite', 'optimum'],
  ['cohere', 'dynamo'],
];

const FIXTURES: readonly Row[] = [
  { fixture: 'gemma3-tiny', architecture: 'Gemma 3', exporter: 'torch.onnx 2.13, dynamo (trained)' },
  { fixture: 'mistral-656k', architecture: 'Mistral 7B', exporter: 'optimum-onnx 0.1 (trained)' },
  {
    fixture: 'mistral-656k',
    architecture: 'Mistral 7B',
    exporter: 'optimum-onnx 0.1, saved by ORT (extended) (trained)',
    after: ['ORT extended'],
  },
  { fixture: 'mixtral-tiny', architecture: 'Mixtral', exporter: 'TorchScript of torch 2.13 (trained)' },
];

/** All rows, in the order of the page. */
export const ROWS: readonly Row[] = [
  ...FIXTURES,
  ...LISTED.flatMap(([name, ...forms]) =>
    forms.map((form) => {
      const [base, ...after] = typeof form === 'string' ? [form] : form;
      return { spec: architecture(name), form: exporter(base, ...after) };
    }),
  ),
];
