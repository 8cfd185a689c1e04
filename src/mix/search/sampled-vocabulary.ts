/**
 * A part of a large vocabulary that stands for all of it. The ids that the reference finds likely are all kept, the others are
 * sampled and stand for several each: adding log(weight) to their logits leaves Σ exp(logit) what it was, on average. What is
 * compared are then two distributions over one fixed set of ids, so a divergence stays ≥ 0, and is 0 for equal logits.
 * Gemma 3 270M has 262,144 ids; its head is three fifths of a forward pass and its logits 1 MB a position.
 */

import type { Projection } from '../../analysis/projection.js';
import { fail } from '../../diagnostics.js';
import type { Logits } from '../../evaluate/index.js';
import { elementCount } from '../../onnx/ir/dtype.js';
import { type Tensor, tensorOf } from '../../onnx/ir/tensor.js';
import { createRandom } from '../../random.js';

export interface SampledVocabulary {
  /** In ascending order. */
  readonly ids: Int32Array;
  /** log of how many ids each stands for. */
  readonly logWeights: Float32Array;
}

export interface SampleOptions {
  /** Ids to keep. */
  readonly size: number;
  readonly seed: number;
}

/** Of the ids kept, this share is sampled from those that the reference finds unlikely. */
const SAMPLED_SHARE = 0.25;
/** A logit this far below the largest of its row is below 6e-6 of its probability. */
const NEGLIGIBLE = 12;

/** Mean probability of every id under the reference, without those that are negligible in a row. */
export class VocabularyCounter {
  readonly #mean: Float64Array;

  constructor(vocabulary: number) {
    this.#mean = new Float64Array(vocabulary);
  }

  add(logits: Logits, logSums: Float64Array): void {
    const mean = this.#mean;
    for (const [position, logSum] of logSums.entries()) {
      const row = logits.row(position);
      for (let id = 0; id < row.length; id++) {
        const log = (row[id] as number) - logSum;
        if (log > -NEGLIGIBLE) mean[id] = (mean[id] as number) + Math.exp(log);
      }
    }
  }

  /** The likeliest ids and those that must be there, and a sample of the others. */
  sample(required: Iterable<number>, { size, seed }: SampleOptions): SampledVocabulary {
    const mean = this.#mean;
    const kept = new Set(required);
    const order = Array.from(mean.keys()).sort((a, b) => (mean[b] as number) - (mean[a] as number) || a - b);
    const certain = Math.max(kept.size, Math.round(size * (1 - SAMPLED_SHARE)));
    for (const id of order) {
      if (kept.size >= certain) break;
      kept.add(id);
    }
    const others = order.filter((id) => !kept.has(id));
    const sampled = createRandom(seed)
      .shuffle(others)
      .slice(0, Math.max(1, size - kept.size));
    const weight = Math.log(others.length / Math.max(1, sampled.length));
    const stands = new Map<number, number>(sampled.map((id) => [id, weight]));
    const ids = Int32Array.from([...kept, ...sampled]).sort();
    return { ids, logWeights: Float32Array.from(ids, (id) => stands.get(id) ?? 0) };
  }
}

/** The head's weight with the rows of these ids only, in the layout it is stored in. */
export function restrictedHead({ weight, n, id }: Projection, ids: Int32Array): Tensor {
  const { tensor, layout } = weight;
  const [rows = 0, columns = 0] = tensor.shape;
  if ((layout === 'NK' ? rows : columns) !== n) fail('unsupported-model', id, 'The head has an unexpected shape');
  const size = tensor.byteLength / elementCount(tensor.shape);
  if (layout === 'NK') {
    const out = new Uint8Array(ids.length * columns * size);
    ids.forEach((row, at) => {
      out.set(tensor.bytes(row * columns * size, (row + 1) * columns * size), at * columns * size);
    });
    return tensorOf(tensor.dtype, [ids.length, columns], out);
  }
  const out = new Uint8Array(rows * ids.length * size);
  for (let row = 0; row < rows; row++) {
    const bytes = tensor.bytes(row * columns * size, (row + 1) * columns * size);
    ids.forEach((column, at) => {
      out.set(bytes.subarray(column * size, (column + 1) * size), (row * ids.length + at) * size);
    });
  }
  return tensorOf(tensor.dtype, [rows, ids.length], out);
}

/** The logits of the ids kept, each with the log of its weight added; copied. */
export function restrictLogits(logits: Logits, { ids, logWeights }: SampledVocabulary): Logits {
  const whole = logits.vocabulary !== ids.length;
  const data = new Float32Array(logits.positions * ids.length);
  for (let position = 0; position < logits.positions; position++) {
    const row = logits.row(position);
    const offset = position * ids.length;
    for (let at = 0; at < ids.length; at++) {
      data[offset + at] = (row[whole ? (ids[at] as number) : at] as number) + (logWeights[at] as number);
    }
  }
  const vocabulary = ids.length;
  return {
    positions: logits.positions,
    vocabulary,
    row: (position) => data.subarray(position * vocabulary, (position + 1) * vocabulary),
  };
}
