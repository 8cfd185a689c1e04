/** Architectures by what their published configurations say. */
import type { Architecture } from './spec.js';

const gemma = { activation: 'gelu-tanh', embeddingScale: 8, tied: true, kvHeads: 1 } as const;
const llama = { kvHeads: 2 } as const;
const gemma2 = { ...gemma, postNorms: true, attentionCap: 50, logitCap: 30, window: 8, kvHeads: 2 } as const;
const gemma3 = { ...gemma, postNorms: true, headNorms: true, window: 8 } as const;

const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  gemma1: { name: 'Gemma 1', ...gemma },
  gemma2: { name: 'Gemma 2', ...gemma2 },
  gemma3: { name: 'Gemma 3', ...gemma3 },
  gemma3Vectors: { name: 'Gemma 3, multimodal', ...gemma3, tied: false, vectors: true },
  gemma3n: {
    name: 'Gemma 3n',
    ...{ ...gemma3, valueNorm: true, logitCap: 30 },
    ...{ perLayer: 'inside', altUp: true, laurel: true, sharedKeys: true },
  },
  gemma3nVectors: {
    name: 'Gemma 3n, multimodal',
    ...{ ...gemma3, valueNorm: true, logitCap: 30, tied: false, vectors: true },
    ...{ perLayer: 'input', altUp: true, laurel: true, sharedKeys: true },
  },
  gemma4: {
    name: 'Gemma 4',
    ...{ ...gemma3, valueNorm: true, logitCap: 30, perLayer: 'inside', sharedKeys: true },
  },
  gemma4Vectors: {
    name: 'Gemma 4, multimodal',
    ...{ ...gemma3, valueNorm: true, logitCap: 30, perLayer: 'input', sharedKeys: true, tied: false, vectors: true },
  },
  gemma4Dense: { name: 'Gemma 4, keys as values', ...gemma3, valueNorm: true, logitCap: 30, keysAreValues: true },
  gemma4Experts: {
    name: 'Gemma 4, experts in stacks',
    ...{ ...gemma3, valueNorm: true, logitCap: 30, feedForward: 'gathered', sharedExpert: true },
  },
  gemma4Fused: {
    name: 'Gemma 4, MoE operator',
    ...{ ...gemma3, valueNorm: true, logitCap: 30, feedForward: 'fused', sharedExpert: true },
  },
  mistral: { name: 'Mistral 7B', ...llama, window: 8 },
  nemo: { name: 'Mistral Nemo', ...llama },
  ministral: { name: 'Ministral 8B', ...llama, window: 16 },
  ministral3: { name: 'Ministral 3', ...llama, yarn: true, temperature: true, tied: true },
  small3: { name: 'Mistral Small 3, multimodal', ...llama, vectors: true },
  mixtral: { name: 'Mixtral, one branch per expert', ...llama, feedForward: 'branches' },
  mixtralGathered: { name: 'Mixtral, stacks, Gather', ...llama, feedForward: 'gathered' },
  mixtralSliced: { name: 'Mixtral, stacks, Slice', ...llama, feedForward: 'sliced' },
  mixtralSplit: { name: 'Mixtral, stacks, Split', ...llama, feedForward: 'split' },
  mixtralEinsum: { name: 'Mixtral, stacks, Einsum', ...llama, feedForward: 'einsum' },
  mixtralBatched: { name: 'Mixtral, stacks, batched MatMul', ...llama, feedForward: 'batched' },
  mixtralChosen: { name: 'Mixtral, matrices chosen by routing', ...llama, feedForward: 'chosen' },
  mixtralFused: { name: 'Mixtral, MoE operator', ...llama, feedForward: 'fused' },
  large3: {
    name: 'Mistral Large 3',
    ...llama,
    yarn: true,
    temperature: true,
    feedForward: 'batched',
    sharedExpert: true,
  },
  qwenExperts: { name: 'Qwen3 MoE', ...llama, headNorms: true, feedForward: 'branches' },
  qwen2Experts: { name: 'Qwen2 MoE', ...llama, biases: true, feedForward: 'branches', sharedExpert: true },
  llama2: { name: 'Llama 2', kvHeads: 4 },
  llama3: { name: 'Llama 3', ...llama },
  llama32: { name: 'Llama 3.2', ...llama, tied: true },
  smollm2: { name: 'SmolLM2', ...llama, tied: true },
  smollm3: { name: 'SmolLM3', ...llama, tied: true, withoutRotation: true },
  qwen2: { name: 'Qwen2', ...llama, biases: true, tied: true },
  qwen3: { name: 'Qwen3', ...llama, headNorms: true, tied: true },
  phi3: { name: 'Phi-3', kvHeads: 4, packed: true, feedForward: 'merged' },
  phi4: { name: 'Phi-4 mini', ...llama, packed: true, feedForward: 'merged', tied: true, rotaryShare: 0.5 },
  glm4: { name: 'GLM-4', ...llama, feedForward: 'merged', postNorms: true, rotaryShare: 0.5 },
  granite: { name: 'Granite 3', ...llama, tied: true, embeddingScale: 12, residualScale: 0.22 },
  cohere: { name: 'Command R', ...llama, tied: true, parallel: true },
};

/** The architecture of a name in the table above. */
export function architecture(name: string): Architecture {
  const found = ARCHITECTURES[name];
  if (found === undefined) throw new RangeError(`there is no architecture ${name}`);
  return found;
}
