/** What is known of a decoder once it is understood. */

import type { InputRole } from './input-roles.js';
import type { Session, TensorInfo } from './runtime.js';

export type { InputRole } from './input-roles.js';

export interface DecoderInput {
  readonly info: TensorInfo;
  readonly role: InputRole;
}

/** One cache: the input it is fed through, and the output that holds it afterwards. */
export interface Cache {
  readonly input: TensorInfo;
  readonly output: string | undefined;
  /** Its shape when it holds nothing, at the decoder's batch: mostly [batch, heads, 0, width]. */
  readonly empty: readonly number[];
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
  /** Window of the local layers in tokens, where it is known. */
  readonly window?: number | undefined;
}
