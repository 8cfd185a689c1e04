/**
 * Builds graphs from nothing, or onto the end of an existing one: an ergonomic face of the rewriter for training graphs, segments
 * and tests.
 *
 *     const b = new GraphBuilder({ opset: 18 });
 *     const x = b.input('x', 'float32', ['batch', 4]);
 *     const y = b.op('MatMul', [x, b.constant(weight, 'w')]);
 *     b.output(y, 'y');
 *     const model = b.model();
 */
import type { Attribute } from '../ir/attribute.js';
import type { DType } from '../ir/dtype.js';
import type { Dim, Graph, Model, Node, Value, ValueType } from '../ir/graph.js';
import * as mutate from '../ir/mutate.js';
import { float32Scalar, int64Scalar, int64s, type Tensor } from '../ir/tensor.js';
import { irVersionOf } from './fitting-ir.js';
import { Rewriter } from './rewriter.js';

export interface BuilderOptions {
  /** Version of the default operator set. */
  readonly opset?: number;
  /** IR version; by default the one that came with the operator set. */
  readonly irVersion?: number;
  readonly name?: string;
}

/** What `op` takes beside inputs and attributes. */
export interface OpOptions {
  /** Node name; the operator by default. Made unique. */
  readonly name?: string;
  readonly types?: readonly (ValueType | undefined)[];
}

export type NamedAttributes = Readonly<Record<string, Attribute>>;

export class GraphBuilder {
  readonly graph: Graph;
  #rewriter: Rewriter;
  readonly #numbers: Map<string, Value> = new Map();

  /** A builder of a new model, or, given a rewriter, one that appends to `graph` of its model. */
  constructor(from: BuilderOptions | Rewriter = {}, graph?: Graph) {
    this.#rewriter = from instanceof Rewriter ? from : new Rewriter(emptyModel(from));
    this.graph = graph ?? this.#rewriter.model.graph;
  }

  get rewriter(): Rewriter {
    return this.#rewriter;
  }

  get opset(): number {
    return this.#rewriter.model.opsets.get('') ?? 0;
  }

  /** Adds a graph input. The name is the interface, so a taken one is an error. */
  input(name: string, dtype: DType, shape: readonly Dim[]): Value {
    this.#claim(name);
    return this.#rewriter.addInput(this.graph, name, { dtype, shape });
  }

  /** Adds an initializer. */
  constant(tensor: Tensor, name = 'constant'): Value {
    const value = this.#rewriter.initializer(this.graph, name, tensor);
    mutate.setType(value, { dtype: tensor.dtype, shape: tensor.shape });
    return value;
  }

  /** A float32 scalar; asking for the same number again gives the same value. */
  scalar(value: number): Value {
    return this.#once(`f${value}`, () => float32Scalar(value), 'scalar');
  }

  /** An int64 scalar. */
  integer(value: number): Value {
    return this.#once(`i${value}`, () => int64Scalar(value), 'integer');
  }

  /** A one-dimensional int64 tensor: axes, shapes, pads. */
  integers(values: readonly number[]): Value {
    return this.#once(`i[${values}]`, () => int64s(values), 'integers');
  }

  /** Adds a node and returns its output. `op` may carry a domain: `com.microsoft::FastGelu`. */
  op(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: NamedAttributes = {},
    options: OpOptions = {},
  ): Value {
    const [output] = this.node(op, inputs, attributes, options).outputs;
    if (output === undefined) throw new Error(`${op} has no output`);
    return output;
  }

  /** Adds a node with `count` outputs and returns them. */
  ops(
    op: string,
    inputs: readonly (Value | undefined)[],
    count: number,
    attributes: NamedAttributes = {},
  ): readonly Value[] {
    const types = Array.from({ length: count }, () => undefined);
    return this.node(op, inputs, attributes, { types }).outputs.filter((value) => value !== undefined);
  }

  /** Adds a node. */
  node(
    op: string,
    inputs: readonly (Value | undefined)[],
    attributes: NamedAttributes = {},
    options: OpOptions = {},
  ): Node {
    const [domain, bare] = splitDomain(op);
    if (domain !== '') this.#rewriter.requireDomain(domain, 1);
    const { name = bare, types = [undefined] } = options;
    const node = this.#rewriter.insertNode(this.graph, { op: bare, domain, inputs, attributes, name, types });
    const nests = Object.values(attributes).some(({ kind }) => kind === 'graph' || kind === 'graphs');
    if (nests) this.#rewriter = new Rewriter(this.#rewriter.model);
    return node;
  }

  /**
   * Makes a value a graph output under `name`, which is interface: a taken name is an error. A value that has a name to keep
   * (an input, an initializer, an output already) goes through an Identity.
   */
  output(value: Value, name: string = value.name, type?: ValueType): Value {
    const isBound = value.isInput || value.isOutput || value.initializer !== undefined || value.graph !== this.graph;
    const result = isBound ? this.op('Identity', [value]) : value;
    if (result.name !== name) {
      this.#claim(name);
      mutate.setName(result, this.#rewriter.names.fresh(name));
    }
    this.#rewriter.addOutput(this.graph, result, type ?? value.type);
    return result;
  }

  /**
   * Builds a graph to be an attribute of a node added next (If, Loop, Scan). It may read every value made so far; its own names
   * are unique along with those, not against its siblings, as exporters write branches.
   */
  branch(name: string, build: (branch: GraphBuilder) => void): Graph {
    const nested = new GraphBuilder(new Rewriter(this.#rewriter.model), mutate.newGraph(name));
    build(nested);
    return nested.graph;
  }

  model(): Model {
    return this.#rewriter.model;
  }

  #claim(name: string): void {
    if (this.#rewriter.names.has(name)) throw new Error(`the name ${name} is taken`);
  }

  #once(key: string, make: () => Tensor, name: string): Value {
    const value = this.#numbers.get(key) ?? this.constant(make(), name);
    this.#numbers.set(key, value);
    return value;
  }
}

function emptyModel({ opset = 18, irVersion = irVersionOf(opset), name = 'graph' }: BuilderOptions): Model {
  return mutate.newModel(mutate.newGraph(name), irVersion, new Map([['', opset]]));
}

function splitDomain(op: string): readonly [string, string] {
  const at = op.lastIndexOf('::');
  return at < 0 ? ['', op] : [op.slice(0, at), op.slice(at + 2)];
}
