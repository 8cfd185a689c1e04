/**
 * One link of the chain: a segment of the student in two sessions, forward from live-in to live-out values, and backward from
 * the gradients of the live-out values to those of the live-in values and of the tables. Backward runs the segment again, so
 * between the two only the values at the cuts are kept. The last link ends in the loss.
 */

import { elementTypeOf } from '../../analysis/element-types.js';
import type { Execution } from '../../analysis/execution.js';
import type { Segment } from '../../analysis/segments.js';
import {
  adjointName,
  adjointTerm,
  forwardPart,
  isFloat,
  LOSS,
  TrainingGraph,
  type TrainingRequest,
  TrainingSession,
} from '../../autodiff/index.js';
import type { SegmentFiles } from '../../capture/index.js';
import type { Model, Value } from '../../onnx/ir/graph.js';
import { prune } from '../../onnx/rewrite/prune.js';
import {
  type Feeds,
  floats,
  type HostTensor,
  type OpenOptions,
  type Outputs,
  type Runtime,
  type Session,
} from '../../runtime/runtime.js';
import { type HeadLoss, headLoss } from './head.js';
import { type AnyStudent, placeStudent } from './student.js';

/** Values at the cuts, of the original model. */
export type Cuts = ReadonlyMap<Value, HostTensor>;

export interface PartRequest {
  readonly model: Model;
  readonly execution: Execution;
  readonly segment: Segment;
  /** The student's projections in this segment. */
  readonly student: readonly AnyStudent[];
  /** The head with its loss, for the last segment. */
  readonly head: HeadLoss | undefined;
  /** Whether an earlier segment learns, so that gradients go further back. */
  readonly goesBack: boolean;
  readonly runtime: Runtime;
  readonly files: SegmentFiles;
  readonly open: OpenOptions;
}

/** What backward gives. */
export interface PartGradients {
  readonly loss: number;
  readonly liveIn: ReadonlyMap<Value, Float32Array>;
  /** By input name. */
  readonly tables: ReadonlyMap<string, Float32Array>;
}

export class Part {
  readonly segment: Segment;
  readonly student: readonly AnyStudent[];
  readonly #request: PartRequest;
  readonly #carried: readonly Value[];
  #forward: Session | undefined;
  #backward: TrainingSession | undefined;

  constructor(request: PartRequest) {
    this.#request = request;
    this.segment = request.segment;
    this.student = request.student;
    this.#carried = request.segment.liveIn.filter((value) => isFloat(value, request.execution));
  }

  /** True when it has something to learn or to hand back. */
  get learns(): boolean {
    return this.#request.goesBack || this.student.some(({ learns }) => learns);
  }

  /** The live-out values that gradients come back for. */
  get differentiated(): readonly Value[] {
    return this.segment.liveOut.filter((value) => isFloat(value, this.#request.execution));
  }

  /** Runs the part; the last one gives the loss alone. */
  async forward(feeds: Feeds): Promise<Outputs> {
    this.#forward ??= await this.#openForward();
    return this.#forward.run(feeds);
  }

  /** Gradients, given those of the live-out values; the last part needs none. */
  async backward(feeds: Feeds, adjoints: ReadonlyMap<Value, Float32Array>, cuts: Cuts): Promise<PartGradients> {
    const given = this.#request.head === undefined ? adjointFeeds(this.differentiated, adjoints, cuts) : {};
    const all = { ...feeds, ...given };
    this.#backward ??= await this.#openBackward(all, cuts);
    const { loss, gradients } = await this.#backward.step(all);
    const carried = this.#request.goesBack ? this.#carried : [];
    const liveIn = new Map(carried.map((value, at) => [value, gradients[at] as Float32Array]));
    const names = this.#backward.wrt.slice(carried.length);
    const tables = new Map(names.map((name, at) => [name, gradients[carried.length + at] as Float32Array]));
    return { loss, liveIn, tables };
  }

  async close(): Promise<void> {
    await this.#forward?.close();
    await this.#backward?.close();
    this.#forward = undefined;
    this.#backward = undefined;
  }

  async #openForward(): Promise<Session> {
    const { runtime, files, open } = this.#request;
    return runtime.open(files.write(this.#request.head === undefined ? this.#forwardModel() : this.#lossModel()), open);
  }

  #openBackward(feeds: Feeds, cuts: Cuts): Promise<TrainingSession> {
    const { runtime, files, open, head } = this.#request;
    const request = head === undefined ? this.#surrogate(cuts) : this.#lossRequest();
    return TrainingSession.open(runtime, request, feeds, { ...open, files });
  }

  #lossModel(): Model {
    return new TrainingGraph(this.#lossRequest()).model;
  }

  #forwardModel(): Model {
    const { builder, copyOf } = forwardPart(this.#part());
    placeStudent(builder, copyOf, this.student, this.segment.nodes);
    for (const value of this.segment.liveOut)
      builder.rewriter.addOutput(builder.graph, copyOf(value), carriedType(value, this.#request));
    prune(builder.rewriter);
    builder.rewriter.sort(builder.graph);
    return builder.model();
  }

  #lossRequest(): TrainingRequest {
    const head = this.#request.head as NonNullable<PartRequest['head']>;
    return {
      ...this.#part(),
      build: (b, copyOf) => {
        const tables = placeStudent(b, copyOf, this.student, this.segment.nodes);
        return { loss: headLoss(b, copyOf, head), wrt: [...this.#sources(copyOf), ...tables] };
      },
    };
  }

  /** A part in the middle: the sum of its live-out values times their gradients has the gradients that are looked for. */
  #surrogate(cuts: Cuts): TrainingRequest {
    return {
      ...this.#part(),
      build: (b, copyOf) => {
        const tables = placeStudent(b, copyOf, this.student, this.segment.nodes);
        const terms = this.differentiated.map((value) =>
          adjointTerm(b, value, copyOf(value), cuts.get(value)?.dims ?? []),
        );
        const loss = terms.reduce((sum, term) => b.op('Add', [sum, term]));
        return { loss, wrt: [...this.#sources(copyOf), ...tables] };
      },
    };
  }

  #part(): Omit<TrainingRequest, 'build'> {
    const { model, segment, execution } = this.#request;
    const { nodes, graphInputs, liveIn } = segment;
    const name = `part_${segment.index}`;
    return { model, name, nodes, fed: [...graphInputs, ...liveIn], parameters: [], resolve: execution.resolve };
  }

  #sources(copyOf: (value: Value) => Value): readonly Value[] {
    return this.#request.goesBack ? this.#carried.map(copyOf) : [];
  }
}

const carriedType = (value: Value, { execution }: PartRequest) =>
  ({ dtype: elementTypeOf(value, execution.resolve) ?? 'float32', shape: undefined }) as const;

function adjointFeeds(values: readonly Value[], adjoints: ReadonlyMap<Value, Float32Array>, cuts: Cuts): Feeds {
  const feeds = values.map((value) => {
    const { dims, data } = cuts.get(value) as HostTensor;
    return [adjointName(value), floats(adjoints.get(value) ?? new Float32Array(data.length), dims)] as const;
  });
  return Object.fromEntries(feeds);
}

/** The loss that a last part's forward gave. */
export const lossIn = (outputs: Outputs): number => (outputs[LOSS] as HostTensor).data[0] as number;
