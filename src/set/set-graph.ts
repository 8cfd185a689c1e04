/** Graphs over the data file of a nested set, and which tensors of a model belong there. */
import { nestProjections } from '../../passes/nest-projections.js';
import type { Filling } from '../emit/fill.js';
import type { JoinStep } from '../emit/join.js';
import { type Exported, exportModel } from '../onnx/convert/export.js';
import type { ModelRecord } from '../onnx/convert/model-record.js';
import { cloneModel } from '../onnx/ir/clone.js';
import { graphsOf, isOp, type Model } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import { fitIr } from '../onnx/rewrite/fitting-ir.js';
import { runPasses, step } from '../onnx/rewrite/run-passes.js';
import type { SetLayout } from '../quant/layout.js';
import type { BitsOf } from '../quant/layout-use.js';
import { SetTensors } from './set-tensors.js';

/** Smaller tensors stay in the graphs: runtimes want shapes and scalars at hand. */
const REST_FROM = 1024;

/** A model in which every quantized projection is a placeholder; never changed. */
export interface SetTemplate {
  readonly model: Model;
  /** Tensors that lie in the data file, in the order of the layout's rest. */
  readonly rest: readonly Tensor[];
}

/** What decides one graph. */
export interface GraphOptions {
  /** The layout as it was written. */
  readonly layout: SetLayout;
  /** Bare name of the data file. */
  readonly data: string;
  readonly bitsOf: BitsOf;
  readonly accuracyLevel: 0 | 4;
  readonly step?: JoinStep;
  /** What the model says of itself, with digests of what it reads of the data file. */
  readonly record: ModelRecord;
}

/** Writes one graph without weights over the data file of a set. */
export function writeSetGraph(path: string, template: SetTemplate, options: GraphOptions): Exported {
  const { model } = cloneModel(template.model);
  const tensors = new SetTensors(options.data);
  tensors.placeRest(template.rest, options.layout);
  const filling: Filling = { ...options, ...tensors.reader(options.layout) };
  runPasses(model, [step(nestProjections, {}, filling)]);
  fitIr(model);
  return exportModel(model, path, { inline: true, placements: tensors.placements, record: options.record });
}

/** The tensors of a template that go to the data file, each range of bytes once, in graph order. */
export function restOf(template: Model): readonly Tensor[] {
  const found = new Map<object, Tensor>();
  for (const tensor of tensorsOf(template)) {
    if (tensor.byteLength < REST_FROM || tensor.strings !== undefined) continue;
    if (!found.has(tensor.storage)) found.set(tensor.storage, tensor);
  }
  return [...found.values()];
}

function* tensorsOf(model: Model): Generator<Tensor> {
  for (const graph of graphsOf(model.graph)) {
    for (const { initializer } of graph.initializers) if (initializer !== undefined) yield initializer;
    for (const node of graph.nodes) {
      const value = node.attributes.get('value');
      if (isOp(node, 'Constant') && value?.kind === 'tensor') yield value.value;
    }
  }
}
