/** What is known of a decoder once it is understood. */
import type { Session, TensorInfo } from './runtime.js';

export type InputRole = 'ids' | 'mask' | 'positions' | 'cache' | 'branch' | 'keep' | 'segments';

export interface DecoderInput {
  readonly info: TensorInfo;
  readonly role: InputRole;
}

/** One cache: the input it is fed through, the output that holds it afterwards, and the shape [1, heads, length, width]. */
export interface Cache {
  readonly input: TensorInfo;
  readonly output: string | undefined;
  readonly heads: number;
  readonly width: number;
  /** Length of an empty cache: 0, or the whole buffer of a local layer whose cache is a window. */
  readonly emptyLength: number;
}

export interface Decoder {
  readonly session: Session;
  readonly inputs: readonly DecoderInput[];
  readonly caches: readonly Cache[];
  /** The output [1, n, vocabulary]. */
  readonly logits: TensorInfo;
  /** Texts at a time: 1 unless the graph takes another number only; each is then the same. */
  readonly batch: number;
  /** Size of the vocabulary, when the graph states it. */
  readonly vocabulary: number | undefined;
  /** True when every cache comes back out, so that single steps are possible. */
  readonly hasCache: boolean;
}
