/** What the finder reports: affine projections with their roles, and everything it left alone with a reason. */
import type { RefusalCode } from '../diagnostics.js';
import type { DType } from '../onnx/ir/dtype.js';
import type { Node, Value } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';

/** `head` is the language-model head; `qkv` and `gate_up` are projections whose one weight has several roles. */
export type Role = 'gate' | 'up' | 'gate_up' | 'down' | 'q' | 'k' | 'v' | 'qkv' | 'o' | 'head';

/** The roles of a gated feed-forward block. */
export const FFN_ROLES: ReadonlySet<Role> = new Set(['gate', 'up', 'gate_up', 'down']);

/** A constant weight of rank 2, seen through the Identity, Cast, Transpose and Reshape nodes before its use. */
export interface Weight {
  /** The initializer, or the output of the Constant node. */
  readonly source: Value;
  readonly tensor: Tensor;
  /** 'KN': stored [in, out] (MatMul); 'NK': stored [out, in] (behind a Transpose, or Gemm with transB = 1). From the form, never the shape. */
  readonly layout: 'KN' | 'NK';
}

/** One place that computes Y = alpha * X . W (+ bias). Branches of a merged decoder give several sites of one projection. */
export interface Site {
  readonly node: Node;
  /** X [..., K]. */
  readonly input: Value;
  /** Y [..., N]: the first output of `node`. */
  readonly output: Value;
  /** Factor of FusedMatMul; 1 elsewhere. */
  readonly alpha: number;
  /** Third input of a Gemm, or undefined. */
  readonly bias: Value | undefined;
  /** Nodes between the weight's source and `node`, from the weight on. */
  readonly walk: readonly Node[];
  /** Element type of X and Y. */
  readonly dtype: DType;
}

export interface Projection {
  /** Stable and readable: `layers.3.gate`, `head`. */
  readonly id: string;
  /** Position of the block in the graph, from 0; -1 for the head. */
  readonly layer: number;
  readonly role: Role;
  /** Inner and outer dimension: X [..., K] . W [K, N]. */
  readonly k: number;
  readonly n: number;
  readonly weight: Weight;
  readonly sites: readonly Site[];
  /** Projections with the same group read the same input and share one Gram matrix: `layers.3.ffn-in`, `layers.3.down-in`. */
  readonly group: string;
}

/** Something with a constant weight that stays as it is. */
export interface Refusal {
  readonly at: string;
  readonly code: RefusalCode;
  readonly reason: string;
  readonly role: Role | undefined;
  readonly layer: number | undefined;
  readonly k: number | undefined;
  readonly n: number | undefined;
}

/** The token embedding, and how the head relates to it. */
export interface Embedding {
  /** The Gather nodes (one per branch). */
  readonly nodes: readonly Node[];
  readonly weight: Weight;
  readonly vocabulary: number;
  readonly hidden: number;
  /** 'tied': one tensor; 'copy': the head stores the transposed values again; 'untied'; 'none': no head found. */
  readonly head: 'tied' | 'copy' | 'untied' | 'none';
}

export interface ModelAnalysis {
  /** FFN and attention projections and the head, in graph order. */
  readonly projections: readonly Projection[];
  readonly refusals: readonly Refusal[];
  readonly embedding: Embedding | undefined;
  /** Other tables that are looked up by the token ids, such as the vectors for each layer of Gemma 3n and 4. They have no head. */
  readonly tables: readonly Embedding[];
  readonly layers: number;
  /** 'silu', 'gelu-tanh' … of the gated blocks; undefined when none was found. */
  readonly activation: string | undefined;
}

/** Every table that is looked up by token ids: the embedding, then the others. */
export const lookedUp = ({ embedding, tables }: Pick<ModelAnalysis, 'embedding' | 'tables'>): readonly Embedding[] =>
  embedding === undefined ? tables : [embedding, ...tables];

/** The input that the experts of a layer share, for the group of one of them: `layers.0.ffn-in` for `layers.0.ffn-in.3`; undefined for other groups. */
export const inputOfExperts = (group: string): string | undefined => /^(.*-in)\.\d+$/.exec(group)?.[1];
