/**
 * A training graph: a part of a model, a loss behind it, and the gradients of the loss, as one ordinary graph. Shapes are concrete:
 * the forward part runs once with the training inputs, and the gradient rules use what was observed.
 */
import { expandAttention } from '../../passes/expand-attention.js';
import { expandFastGelu } from '../../passes/expand-fast-gelu.js';
import { expandFusedMatmul } from '../../passes/expand-fused-matmul.js';
import { expandRotary } from '../../passes/expand-rotary.js';
import { expandSkipNorm } from '../../passes/expand-skip-norm.js';
import { constantOf } from '../analysis/constants.js';
import { elementTypeOf } from '../analysis/element-types.js';
import { fail } from '../diagnostics.js';
import { elementCount } from '../onnx/ir/dtype.js';
import { type Model, type Node, subgraphsOf, type Value } from '../onnx/ir/graph.js';
import { type Tensor, tensorOf } from '../onnx/ir/tensor.js';
import { GraphBuilder } from '../onnx/rewrite/builder.js';
import { extractModel } from '../onnx/rewrite/extract.js';
import { prune } from '../onnx/rewrite/prune.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { runPasses, step } from '../onnx/rewrite/run-passes.js';
import type { Feeds, HostTensor, Outputs } from '../runtime/runtime.js';
import type { GradRule } from './emitter.js';
import { gradients } from './gradients.js';
import { graphEmitter } from './graph-emitter.js';
import { RULES } from './rules.js';

/** What to train on. The original model is only read. */
export interface TrainingRequest {
  readonly model: Model;
  readonly name: string;
  /** In a topological order; every value they read is made by one of them, an initializer, or fed. */
  readonly nodes: readonly Node[];
  /** Values that are fed under their names: live-in activations and inputs of the model. */
  readonly fed: readonly Value[];
  /** float32 initializers that become inputs under their names, so that each step runs with new values. */
  readonly parameters: readonly Value[];
  /** Follows values that stand for others (outputs of an inlined `If`). */
  readonly resolve?: (value: Value) => Value;
  /** Adds the loss, and whatever stands between parameters and weights. `copyOf` gives the copy of a value of the original. */
  build(builder: GraphBuilder, copyOf: (value: Value) => Value): Objective;
}

export interface Objective {
  /** One float32 number. */
  readonly loss: Value;
  /** What to differentiate by: values of the training graph. Default: the copies of `parameters`. */
  readonly wrt?: readonly Value[];
  /** What is handed out of the gradient by a value of that shape; undefined for the gradient itself, which is the default. */
  readonly reduce?: (value: Value, gradient: Value, shape: readonly number[]) => Value | undefined;
}

/** The name of the output with the loss. */
export const LOSS = 'loss';

/** The forward part, ready to be observed and then differentiated. */
export class TrainingGraph {
  readonly model: Model;
  readonly wrt: readonly Value[];
  readonly #builder: GraphBuilder;
  readonly #loss: Value;
  readonly #reduce: Objective['reduce'];
  /** Nodes that mean more going back than their operators say. */
  readonly #marked: Marked;

  constructor(request: TrainingRequest) {
    const { copyOf, builder } = forwardPart(request);
    const { loss, wrt, reduce } = request.build(builder, copyOf);
    this.#builder = builder;
    this.#reduce = reduce;
    this.#loss = builder.output(loss, LOSS, { dtype: 'float32', shape: [] });
    this.model = builder.model();
    this.wrt = wrt ?? request.parameters.map(copyOf);
    prune(this.#rewriter);
    this.#marked = lowerMarks(this.#rewriter);
    this.#rewriter.sort(this.model.graph);
  }

  get #rewriter(): Rewriter {
    return this.#builder.rewriter;
  }

  /**
   * Runs `run` with the shape of every intermediate value as an output of the model, and notes what came out. Only integers are
   * handed out themselves: the activations of a decoder and 512 tokens would take gigabytes.
   */
  async observe(feeds: Feeds, run: (model: Model) => Promise<Outputs>): Promise<Observed> {
    const { graph } = this.model;
    const hidden = graph.nodes.flatMap(({ outputs }) =>
      outputs.filter((value) => value !== undefined && !value.isOutput && value.uses.size > 0),
    ) as Value[];
    const probes = hidden.map((value) => this.#probe(value));
    for (const { output } of probes) this.#rewriter.addOutput(graph, output);
    const outputs = await run(this.model);
    for (const _ of hidden) this.#rewriter.removeOutput(graph, graph.outputs.length - 1);
    for (const { node } of probes) if (node !== undefined) this.#rewriter.erase(node);
    const seen = new Map<string, Seen>(Object.entries({ ...feeds, ...outputs }));
    for (const { value, output, node } of probes) {
      const found = outputs[output.name];
      if (node !== undefined && found !== undefined) seen.set(value.name, { dims: Array.from(found.data, Number) });
    }
    return new Observed(this.model, seen);
  }

  /** What to hand out for a value: the value when it may be integers, else its shape, made by a node that is removed again. */
  #probe(value: Value): { readonly value: Value; readonly output: Value; readonly node?: Node } {
    const dtype = elementTypeOf(value);
    if (dtype === undefined || dtype === 'int64') return { value, output: value };
    const spec = { op: 'Shape', inputs: [value], name: `shape/${value.name}` };
    const node = this.#rewriter.insertNode(this.model.graph, spec);
    return { value, output: node.outputs[0] as Value, node };
  }

  /** Adds the gradients as outputs and returns their names, in the order of `wrt`. */
  differentiate(observed: Observed): readonly string[] {
    const { graph } = this.model;
    const emit = graphEmitter(this.#rewriter, graph, observed.shapes, (value) => observed.constantOf(value));
    const rules: Readonly<Record<string, GradRule>> = {
      ...RULES,
      Round: (node, dy) => [this.#marked.through.has(node) ? dy[0] : undefined],
      Identity: (node, dy) => [this.#marked.stopped.has(node) ? undefined : dy[0]],
    };
    if (elementCount(observed.shapes.get(this.#loss) ?? []) !== 1) {
      fail('unsupported-model', this.#loss.name, 'The loss is not one number');
    }
    const found = gradients([...graph.nodes], this.#loss, this.wrt, emit, rules);
    return this.wrt.map((value) => {
      const gradient = found.get(value);
      if (gradient === undefined) return fail('unsupported-model', value.name, 'The loss does not depend on the value');
      const shape = observed.shapes.get(value) ?? [];
      const reduced = this.#reduce?.(value, gradient, shape);
      const type = { dtype: 'float32', shape: reduced === undefined ? shape : undefined } as const;
      return this.#builder.output(reduced ?? gradient, `gradient/${value.name}`, type).name;
    });
  }
}

/** Fused operators have no gradient rules: they are written out in those that have. */
const EXPANSIONS = [expandSkipNorm, expandFastGelu, expandFusedMatmul, expandAttention, expandRotary];

/** A copy of the nodes with fused operators expanded: those have no gradient rules. */
export function forwardPart(
  request: Omit<TrainingRequest, 'build'>,
): Pick<ReturnType<typeof extractModel>, 'copyOf'> & { builder: GraphBuilder } {
  const { model, name, nodes, fed, parameters, resolve = (value: Value) => value } = request;
  const given = new Set(parameters);
  const inputs = [...fed, ...parameters].map((value) => {
    const dtype = elementTypeOf(value, resolve);
    if (dtype !== 'float32' && given.has(value))
      fail('unsupported-model', value.name, 'Only float32 tensors can be trained');
    return { value, type: { dtype, shape: value.initializer?.shape ?? value.type?.shape } };
  });
  const kept = nodes.filter(({ outputs }) => !outputs.some((value) => value !== undefined && given.has(value)));
  const extraction = extractModel(model, { name, nodes: kept, inputs, resolve });
  const steps = EXPANSIONS.map((pass) => step(pass));
  runPasses(extraction.model, steps);
  return { copyOf: (value) => extraction.copyOf(value), builder: new GraphBuilder(new Rewriter(extraction.model)) };
}

interface Marked {
  /** Round nodes that pass their gradient through. */
  readonly through: ReadonlySet<Node>;
  /** Identity nodes that pass none. */
  readonly stopped: ReadonlySet<Node>;
}

/** What gradients do otherwise than operators say is known by name while a graph is built; the runtime gets plain operators. */
function lowerMarks(rewriter: Rewriter): Marked {
  const lower = (name: string, op: string): ReadonlySet<Node> => {
    const found = rewriter.model.graph.nodes.filter(({ domain, op: own }) => `${domain}::${own}` === name);
    return new Set(found.map((node) => rewriter.replaceNode(node, { op, inputs: [...node.inputs], name: node.name })));
  };
  return {
    through: lower('matquant::StraightThroughRound', 'Round'),
    stopped: lower('matquant::StopGradient', 'Identity'),
  };
}

/** Longest integer tensor that is taken for a shape or a list of axes. */
const SHORT = 64;

/** What one run showed of a value. */
type Seen = Pick<HostTensor, 'dims'> & Partial<HostTensor>;

/** What one run showed: the shape of every value, and the integers that follow from shapes alone. */
export class Observed {
  readonly shapes: ReadonlyMap<Value, readonly number[]>;
  readonly #integers: ReadonlyMap<Value, Tensor>;

  constructor({ graph }: Model, seen: ReadonlyMap<string, Seen>) {
    const shapes = new Map<Value, readonly number[]>();
    const integers = new Map<Value, Tensor>();
    const fixed = new Set<Value>();
    const note = (value: Value | undefined): void => {
      const tensor = value && seen.get(value.name);
      if (value === undefined || tensor === undefined) return;
      shapes.set(value, tensor.dims);
      const { dtype, dims, data } = tensor;
      if (dtype === 'int64' && data !== undefined && data.length <= SHORT && fixed.has(value))
        integers.set(value, tensorOf(dtype, dims, data));
    };
    graph.inputs.forEach(note);
    for (const node of graph.nodes) {
      if (isFixed(node, fixed)) for (const output of node.outputs) if (output !== undefined) fixed.add(output);
      node.outputs.forEach(note);
    }
    this.shapes = shapes;
    this.#integers = integers;
  }

  /** The tensor of a value that is the same in every step: constant, or computed from shapes. */
  constantOf(value: Value): Tensor | undefined {
    return constantOf(value) ?? this.#integers.get(value);
  }
}

/** True when the outputs of a node depend on shapes and constants only. */
function isFixed(node: Node, fixed: ReadonlySet<Value>): boolean {
  if (node.op === 'Shape' || node.op === 'Size') return true;
  if (subgraphsOf(node).length > 0 || /^(Random|Multinomial|Bernoulli)/.test(node.op)) return false;
  return node.inputs.every((value) => value === undefined || fixed.has(value) || constantOf(value) !== undefined);
}
