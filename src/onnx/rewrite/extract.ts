/** Copies a range of nodes into a model of its own. The original is only read; tensors are shared, not copied. */
import { type Attribute, graph as graphAttribute } from '../ir/attribute.js';
import type { Graph, Model, Node, Value, ValueType } from '../ir/graph.js';
import { placeOf } from '../ir/graph.js';
import * as mutate from '../ir/mutate.js';
import type { Tensor } from '../ir/tensor.js';
import { fittingIr } from './fitting-ir.js';

/** What goes into the new model. */
export interface Part {
  readonly name: string;
  /** In a topological order; every value they read is made by one of them, an initializer, or an input. */
  readonly nodes: readonly Node[];
  readonly inputs: readonly { readonly value: Value; readonly type: ValueType }[];
  /** Follows values that stand for others (outputs of an inlined `If`). */
  readonly resolve: (value: Value) => Value;
  /** Tensors to store in place of initializers or of the outputs of Constant nodes. */
  readonly replaced?: ReadonlyMap<Value, Tensor>;
}

export interface Extraction {
  /** A model without outputs: add them with a `Rewriter`. */
  readonly model: Model;
  /** The copy of a value of the original. */
  copyOf(value: Value): Value;
}

/** Values and initializers keep their names: within one execution they are unique. */
export function extractModel(original: Model, part: Part): Extraction {
  const graph = mutate.newGraph(part.name);
  const model = mutate.newModel(graph, fittingIr(original), original.opsets);
  mutate.setExtras(model, original.extras);
  const scope = new Scope(graph, part);
  for (const { value, type } of part.inputs) mutate.addInput(graph, scope.define(value, graph, type));
  for (const node of part.nodes) scope.copyNode(node, graph);
  const copyOf = (value: Value): Value => scope.find(value) ?? missing(value, part.name);
  return { model, copyOf };
}

const missing = (value: Value, at: string): never => {
  throw new Error(`${at} reads ${value.name}, which is neither made there nor an input`);
};

/** The copies made so far, across nested graphs. */
class Scope {
  readonly #copies: Map<Value, Value> = new Map();
  readonly #main: Graph;
  readonly #part: Part;

  constructor(main: Graph, part: Part) {
    this.#main = main;
    this.#part = part;
  }

  define(value: Value, graph: Graph, type: ValueType | undefined = value.type): Value {
    const copy = mutate.newValue(graph, value.name, type);
    this.#copies.set(value, copy);
    return copy;
  }

  /** The copy of a value; initializers are copied when they are first read. */
  find(value: Value): Value | undefined {
    const source = this.#part.resolve(value);
    const found = this.#copies.get(source);
    if (found !== undefined || source.initializer === undefined) return found;
    return this.#initializer(source, source.initializer, this.#main);
  }

  copyNode(node: Node, graph: Graph): void {
    const [output] = node.outputs;
    const tensor = output && this.#part.replaced?.get(output);
    if (output !== undefined && tensor !== undefined) mutate.setInitializer(this.define(output, graph), tensor);
    else this.#copyNode(node, graph);
  }

  #copyNode(node: Node, graph: Graph): void {
    const attributes = [...node.attributes].map(([name, attribute]) => [name, this.#attribute(attribute)] as const);
    const copy = mutate.newNode(graph, { name: node.name, op: node.op, domain: node.domain, attributes });
    node.inputs.forEach((input, slot) => {
      mutate.connect(copy, slot, input && (this.find(input) ?? missing(input, placeOf(node))));
    });
    node.outputs.forEach((output, slot) => {
      mutate.produce(copy, slot, output && this.define(output, graph));
    });
    mutate.setExtras(copy, node.extras);
  }

  #initializer(source: Value, own: Tensor, graph: Graph): Value {
    const copy = this.define(source, graph);
    mutate.setInitializer(copy, this.#part.replaced?.get(source) ?? own);
    return copy;
  }

  #attribute(attribute: Attribute): Attribute {
    if (attribute.kind === 'graph') return graphAttribute(this.#nested(attribute.value));
    if (attribute.kind === 'graphs')
      return { kind: 'graphs', value: attribute.value.map((each) => this.#nested(each)) };
    return attribute;
  }

  #nested(original: Graph): Graph {
    const graph = mutate.newGraph(original.name);
    for (const input of original.inputs) mutate.addInput(graph, this.define(input, graph));
    for (const value of original.initializers) {
      if (value.initializer !== undefined) this.#initializer(value, value.initializer, graph);
    }
    for (const node of original.nodes) this.copyNode(node, graph);
    for (const output of original.outputs) {
      mutate.addOutput(graph, this.find(output) ?? missing(output, original.name));
    }
    return graph;
  }
}
