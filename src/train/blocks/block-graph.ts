/** The training graph of a block: the float block for the target, and one copy of it with quantized weights per precision. */
import type { Execution } from '../../analysis/execution.js';
import type { TrainingRequest } from '../../autodiff/index.js';
import type { Model, Node, Value } from '../../onnx/ir/graph.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import type { Precision } from '../../quant/precision.js';
import type { TrainBlock } from './block.js';
import type { Learnable } from './learnables.js';
import { blockLoss, precisionsOf, type Term } from './objective.js';

/** Values of the block, and what stands in their place. */
export type Weights = ReadonlyMap<Value, Value>;

/** What becomes of values that the student computes, by the float block's values. */
export type Changes = ReadonlyMap<Value, (value: Value) => Value>;

/** What is trained in a block. */
export interface Student {
  readonly learnables: readonly Learnable[];
  build(b: GraphBuilder, copyOf: (value: Value) => Value): StudentParts;
}

export interface StudentParts {
  readonly wrt: readonly Value[];
  /** What stands in the place of weights at one precision. */
  readonly weights: (bits: Precision) => Weights;
  /** What the student does to its input before anything else. */
  readonly entry?: (input: Value) => Value;
  readonly changes?: Changes;
}

/** The input of the student where it is not that of the float block. */
export const studentInput = ({ id }: TrainBlock): string => `${id}/student`;

/** `apart`: the student reads its own input, what quantized layers hand on, and the float block reads its own. */
export function blockRequest(
  model: Model,
  { resolve }: Execution,
  block: TrainBlock,
  student: Student,
  terms: readonly Term[],
  apart = false,
): TrainingRequest {
  return {
    model,
    name: block.id,
    nodes: block.nodes,
    fed: block.inputs,
    parameters: [],
    resolve,
    build: (b, copyOf) => {
      b.rewriter.sort(b.graph);
      const nodes = [...b.graph.nodes];
      const exact = copyOf(block.output);
      const { wrt, weights, entry = (input) => input, changes } = student.build(b, copyOf);
      // Of whatever rank the exporter gave the block's input, as that is fed.
      const type = { dtype: 'float32', shape: undefined } as const;
      const own = apart ? b.rewriter.addInput(b.graph, studentInput(block), type) : undefined;
      const inputs = block.inputs.map((input) => [copyOf(input), entry(own ?? copyOf(input))] as const);
      const changed = inputs.filter(([before, after]) => before !== after);
      const outputs = new Map(
        precisionsOf(terms).map(
          (bits) => [bits, replicate(b, nodes, new Map([...weights(bits), ...changed]), exact, changes)] as const,
        ),
      );
      return { loss: blockLoss(b, terms, exact, outputs), wrt };
    },
  };
}

/** Copies what of `nodes` depends on the replaced values, and returns the copy of `output`. */
export function replicate(
  b: GraphBuilder,
  nodes: readonly Node[],
  replaced: Weights,
  output: Value,
  changes: Changes = new Map(),
): Value {
  const copies = new Map(replaced);
  for (const node of nodes) {
    if (!node.inputs.some((input) => input !== undefined && copies.has(input))) continue;
    const op = node.domain === '' ? node.op : `${node.domain}::${node.op}`;
    const inputs = node.inputs.map((input) => input && (copies.get(input) ?? input));
    const types = node.outputs.map(() => undefined);
    const copy = b.node(op, inputs, Object.fromEntries(node.attributes), { name: node.name, types });
    node.outputs.forEach((each, slot) => {
      const made = copy.outputs[slot];
      if (each !== undefined && made !== undefined) copies.set(each, changes.get(each)?.(made) ?? made);
    });
  }
  return copies.get(output) ?? output;
}
