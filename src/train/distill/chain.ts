/**
 * The student as a chain of segments: forward link by link keeping only the values at the cuts, backward link by link with
 * recomputation inside (Chen et al. 2016, "Training deep nets with sublinear memory cost", with the cuts of the calibration).
 * One segment that holds everything needs no recomputation; more segments need less memory.
 */

import type { Execution } from '../../analysis/execution.js';
import type { ModelAnalysis } from '../../analysis/projection.js';
import { headOf } from '../../autodiff/index.js';
import { edgesOf, GraphFeeder, keepAllLogits, type Plan, planCapture, SegmentFiles } from '../../capture/index.js';
import { fail } from '../../diagnostics.js';
import type { Machine } from '../../files/machine.js';
import { temporaryFolder } from '../../files/temporary.js';
import type { Model, Value } from '../../onnx/ir/graph.js';
import type { DecoderHints } from '../../runtime/hints.js';
import { type Feeds, floats, type HostTensor, integers, type Outputs, type Runtime } from '../../runtime/runtime.js';
import { HIDDEN, LABELS, type Objective, SHARE, TEACHER } from './head.js';
import { lossIn, Part } from './part.js';
import { type AnyStudent, inputsOf, type Learning, learningFeeds } from './student.js';
import { type Example, labelsOf } from './text.js';

export interface ChainRequest {
  readonly model: Model;
  readonly analysis: ModelAnalysis;
  readonly student: readonly AnyStudent[];
  /** Ids that the loss is taken over; all without. */
  readonly ids: Int32Array | undefined;
  /** Default: divergence from the example's teacher. */
  readonly objective?: Objective;
  readonly runtime: Runtime;
  readonly machine: Machine;
  readonly hints?: DecoderHints;
  /** Weight bytes of a segment; default: all in one. */
  readonly maxWeightBytes?: number;
}

/** An example with the teacher's last hidden states [windows, length, hidden]. */
export interface TaughtExample {
  readonly example: Example;
  readonly teacher: Float32Array;
}

export interface ChainStep {
  readonly loss: number;
  /** In the order of `columnsOf` the tables. */
  readonly gradients: readonly Float32Array[];
}

/** Where a plan ends: the logits, and nothing on the way that only statistics want. */
export function planStudent(model: Model, analysis: ModelAnalysis, maxWeightBytes: number): Plan {
  const logits = model.graph.outputs.find(({ name }) => name === 'logits');
  if (logits === undefined) return fail('unsupported-model', 'logits', 'The model has no output of that name');
  return planCapture(model, analysis, { scope: () => false, targets: [logits], maxWeightBytes });
}

export class Chain {
  readonly #parts: readonly Part[];
  readonly #files: SegmentFiles;
  readonly #feeder: GraphFeeder;
  readonly #execution: Execution;
  readonly #objective: Objective;

  constructor(request: ChainRequest) {
    const { model, analysis, student, runtime, machine, ids } = request;
    const { execution, segments } = planStudent(model, analysis, request.maxWeightBytes ?? Number.MAX_SAFE_INTEGER);
    const head = headOf(model, analysis, execution);
    this.#execution = execution;
    this.#objective = request.objective ?? 'divergence';
    this.#feeder = new GraphFeeder(model, analysis, request.hints);
    this.#files = new SegmentFiles(temporaryFolder('distill', machine.temporary));
    let goesBack = false;
    this.#parts = segments.map((segment, at) => {
      const nodes = new Set(segment.nodes);
      const own = student.filter(({ projection }) => projection.sites.some(({ node }) => nodes.has(node)));
      const last = at === segments.length - 1 ? { head, ids, objective: this.#objective } : undefined;
      const shared = { model, execution, runtime, files: this.#files, open: { threads: machine.threads } };
      const part = new Part({ ...shared, segment, student: own, head: last, goesBack });
      goesBack ||= own.some(({ learns }) => learns);
      return part;
    });
  }

  /** Number of segments. */
  get length(): number {
    return this.#parts.length;
  }

  /** The loss over an example. */
  async loss(taught: TaughtExample, tables: Learning): Promise<number> {
    return lossIn(await this.#outputs(taught, tables));
  }

  /** The student's last hidden states [windows, length, hidden]: what makes it a teacher. */
  async hidden(taught: TaughtExample, tables: Learning): Promise<Float32Array> {
    return (await this.#outputs(taught, tables))[HIDDEN]?.data as Float32Array;
  }

  /** The loss, and its gradients by every column that learns. */
  async step(taught: TaughtExample, tables: Learning): Promise<ChainStep> {
    const cuts = await this.#forward(taught, tables);
    const adjoints = new Map<Value, Float32Array>();
    const found = new Map<string, Float32Array>();
    let total = 0;
    for (const part of this.#parts.toReversed()) {
      if (!part.learns) break;
      const {
        loss,
        liveIn,
        tables: columns,
      } = await part.backward(await this.#feeds(part, taught, tables, cuts), adjoints, cuts);
      if (part === this.#parts.at(-1)) total = loss;
      for (const [name, gradient] of columns) found.set(name, gradient);
      for (const [value, gradient] of liveIn) addTo(adjoints, value, gradient);
    }
    return { loss: total, gradients: inputsOf(tables).map((name) => found.get(name) as Float32Array) };
  }

  async close(): Promise<void> {
    for (const part of this.#parts) await part.close();
    await this.#feeder.close();
    this.#files.close();
  }

  /** What the last part gives. */
  async #outputs(taught: TaughtExample, tables: Learning): Promise<Outputs> {
    const cuts = await this.#forward(taught, tables);
    const last = this.#parts.at(-1) as Part;
    return last.forward(await this.#feeds(last, taught, tables, cuts));
  }

  /** The values at the cuts. */
  async #forward(taught: TaughtExample, tables: Learning): Promise<Map<Value, HostTensor>> {
    const cuts = new Map<Value, HostTensor>();
    for (const part of this.#parts.slice(0, -1)) {
      const outputs = await part.forward(await this.#feeds(part, taught, tables, cuts));
      for (const value of part.segment.liveOut) cuts.set(value, outputs[value.name] as HostTensor);
    }
    return cuts;
  }

  async #feeds(
    part: Part,
    { example, teacher }: TaughtExample,
    tables: Learning,
    cuts: ReadonlyMap<Value, HostTensor>,
  ): Promise<Feeds> {
    const { graphInputs, liveIn } = part.segment;
    const feeds: Record<string, HostTensor> = {
      ...(await this.#feeder.read(edgesOf(graphInputs, this.#execution.resolve), example)),
      ...Object.fromEntries(liveIn.map((value) => [value.name, cuts.get(value) as HostTensor])),
      ...learningFeeds(part.student, tables),
    };
    keepAllLogits(feeds);
    if (part !== this.#parts.at(-1)) return feeds;
    const { windows, length, share } = example;
    const dims = [windows.length, length];
    feeds[SHARE] = floats(share, dims);
    if (this.#objective === 'likelihood') {
      const labels = labelsOf(example);
      return { ...feeds, [SHARE]: floats(labels.share, dims), [LABELS]: integers(labels.ids, dims) };
    }
    feeds[TEACHER] = floats(teacher, [...dims, teacher.length / share.length]);
    return feeds;
  }
}

function addTo(sums: Map<Value, Float32Array>, value: Value, gradient: Float32Array): void {
  const sum = sums.get(value);
  if (sum === undefined) sums.set(value, gradient);
  else for (let at = 0; at < sum.length; at++) sum[at] = (sum[at] as number) + (gradient[at] as number);
}
