/** What a row of docs/models.md is made of: an architecture (what a decoder computes) and an exporter (how it is written). */
/** How the feed-forward part of each layer is built; everything but `gated` and `merged` is a mixture of experts. */
export type FeedForward =
  | 'gated'
  | 'merged'
  | 'branches'
  | 'gathered'
  | 'sliced'
  | 'split'
  | 'einsum'
  | 'batched'
  | 'chosen'
  | 'fused';

/** A decoder of two layers, 64 wide, with 4 heads of 16; everything is off by default. */
export interface Architecture {
  readonly name: string;
  /** Key and value heads; 2 by default. */
  readonly kvHeads?: number;
  readonly activation?: 'silu' | 'gelu-tanh';
  readonly feedForward?: FeedForward;
  /** A dense block beside the experts (DeepSeek, Qwen MoE, Gemma 4). */
  readonly sharedExpert?: boolean;
  /** Factor of the token vectors (Gemma, Granite). */
  readonly embeddingScale?: number;
  /** Factor of what is added to the residual (Granite). */
  readonly residualScale?: number;
  /** Norms behind attention and feed-forward as well (Gemma 2 and newer). */
  readonly postNorms?: boolean;
  /** Norms of queries and keys by head (Gemma 3, Qwen3). */
  readonly headNorms?: boolean;
  /** Values are normalized too, without a weight (Gemma 3n and 4). */
  readonly valueNorm?: boolean;
  /** Biases of q, k and v (Qwen2). */
  readonly biases?: boolean;
  readonly attentionCap?: number;
  readonly logitCap?: number;
  /** Tokens that every first of two layers sees. */
  readonly window?: number;
  /** q, k and v in one weight (Phi-3). */
  readonly packed?: boolean;
  readonly tied?: boolean;
  /** Part of each head that the rotary embedding turns; 1 by default. */
  readonly rotaryShare?: number;
  /** Frequencies interpolated by YaRN, with its factor of attention. */
  readonly yarn?: boolean;
  /** Queries are scaled by position (Llama 4, Ministral 3). */
  readonly temperature?: boolean;
  /** Every second layer has no rotary embedding (SmolLM3). */
  readonly withoutRotation?: boolean;
  /** Vectors of each token for each layer (Gemma 3n and 4). */
  readonly perLayer?: 'inside' | 'input';
  /** Two streams with predict and correct steps (Gemma 3n). */
  readonly altUp?: boolean;
  /** A low-rank branch beside attention (Gemma 3n). */
  readonly laurel?: boolean;
  /** The last layer reads keys and values of the one before (Gemma 3n and 4). */
  readonly sharedKeys?: boolean;
  /** Keys are values (global layers of Gemma 4). */
  readonly keysAreValues?: boolean;
  /** Attention and feed-forward read one norm and are added together (Phi-2, GPT-J, Cohere). */
  readonly parallel?: boolean;
  /** The token vectors are an input. */
  readonly vectors?: boolean;
}

export type LinearForm = 'MatMul' | 'Transpose and MatMul' | 'Gemm' | 'FusedMatMul' | 'Einsum' | 'constant nodes';
export type NormForm = 'decomposed' | 'simplified' | 'skip' | 'standard' | 'mul';
export type AttentionForm = 'decomposed' | 'grouped' | 'grouped, rotating' | 'multi-head' | 'standard';
export type HeadForm = 'transposed' | 'copy' | 'Gemm';

/** How a graph is written, and what is done with it afterwards. */
export interface Exporter {
  readonly name: string;
  readonly opset: number;
  readonly linear?: LinearForm;
  readonly norm?: NormForm;
  readonly attention?: AttentionForm;
  readonly head?: HeadForm;
  /** Activations in single operators. */
  readonly activation?: 'decomposed' | 'operator' | 'contrib';
  /** Keys and values of tokens before as inputs and outputs. */
  readonly cache?: boolean;
  /** Both forms of the graph in the branches of an If. */
  readonly merged?: boolean;
  readonly after?: readonly After[];
}

/** What happens to a graph after it was exported. */
export type After =
  | 'float16'
  | 'bfloat16'
  | 'local functions'
  | 'ORT basic'
  | 'ORT extended'
  | 'ORT all'
  | 'weights as inputs'
  | 'QDQ'
  | 'MatMulNBits'
  /** The weights are taken as float ones: an option of the recipe. */
  | 'dequantizeSource';

export const SIZE = { hidden: 64, heads: 4, width: 16, ffn: 128, vocabulary: 96, perLayer: 32, experts: 3 } as const;
export const EPSILON = 1e-6;
