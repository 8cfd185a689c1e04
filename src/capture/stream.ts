/** The state of one run between two segments. */
import type { Segment } from '../analysis/segments.js';
import type { Value } from '../onnx/ir/graph.js';
import type { HostTensor } from '../runtime/runtime.js';
import type { Batch } from '../text/index.js';
import type { ActivationStore } from './spill.js';

/** The values alive between two segments, for all batches. Made by `SegmentRunner.stream`; of no use after a failed run. */
export interface Stream {
  /** The segment that comes next. */
  readonly next: number;
  close(): Promise<void>;
}

export class LiveStream implements Stream {
  next = 0;
  readonly #store: ActivationStore;

  constructor(store: ActivationStore) {
    this.#store = store;
  }

  async read(value: Value, batch: Batch): Promise<HostTensor> {
    return (await this.#store.get(value.name, batch.index)) as HostTensor;
  }

  /** Exchanges what a segment read for what it made, for one batch. */
  async carry(segment: Segment, batch: Batch, made: ReadonlyMap<Value, HostTensor>): Promise<void> {
    for (const value of segment.retired) this.#store.release(value.name, batch.index);
    for (const [value, tensor] of made) await this.#store.put(value.name, batch.index, tensor);
  }

  /** Goes on to the next segment once every batch is carried. */
  async advance(segment: Segment): Promise<void> {
    for (const value of segment.retired) await this.#store.drop(value.name);
    this.next++;
  }

  close(): Promise<void> {
    return this.#store.close();
  }
}
