/** Deep copies of models: nodes and values are new, tensors and their bytes are shared. One model compiles to several graphs. */
import type { Attribute } from './attribute.js';
import type { Graph, Model, Node, Value } from './graph.js';
import * as mutate from './mutate.js';

/** A copy, and what became of each value and node of the original. */
export interface Clone {
  readonly model: Model;
  readonly values: ReadonlyMap<Value, Value>;
  readonly nodes: ReadonlyMap<Node, Node>;
}

/** Copies a model with every graph nested in it. */
export function cloneModel(model: Model): Clone {
  const cloner = new Cloner();
  const copy = mutate.newModel(cloner.graph(model.graph), model.irVersion, model.opsets);
  mutate.setProducer(copy, model.producerName, model.producerVersion);
  mutate.setMetadata(copy, model.metadata);
  mutate.setExtras(copy, model.extras);
  return { model: copy, values: cloner.values, nodes: cloner.nodes };
}

class Cloner {
  readonly values: Map<Value, Value> = new Map();
  readonly nodes: Map<Node, Node> = new Map();

  graph(original: Graph): Graph {
    const graph = mutate.newGraph(original.name);
    for (const input of original.inputs) mutate.addInput(graph, this.#declare(graph, input));
    for (const value of original.initializers) mutate.setInitializer(this.#declare(graph, value), value.initializer);
    for (const node of original.nodes) this.#node(graph, node);
    for (const output of original.outputs) mutate.addOutput(graph, this.#declare(graph, output));
    mutate.setMetadata(graph, original.metadata);
    mutate.setExtras(graph, original.extras);
    return graph;
  }

  #node(graph: Graph, original: Node): void {
    const attributes = [...original.attributes].map(([name, value]) => [name, this.#attribute(value)] as const);
    const node = mutate.newNode(graph, { name: original.name, op: original.op, domain: original.domain, attributes });
    original.inputs.forEach((value, slot) => mutate.connect(node, slot, value && this.#declare(graph, value)));
    original.outputs.forEach((value, slot) => mutate.produce(node, slot, value && this.#declare(graph, value)));
    mutate.setMetadata(node, original.metadata);
    mutate.setExtras(node, original.extras);
    this.nodes.set(original, node);
  }

  #attribute(attribute: Attribute): Attribute {
    if (attribute.kind === 'graph') return { kind: 'graph', value: this.graph(attribute.value) };
    if (attribute.kind === 'graphs') return { kind: 'graphs', value: attribute.value.map((each) => this.graph(each)) };
    return attribute;
  }

  /** The copy of a value; made in `graph` the first time, which is its own graph since outer values are met before inner readers. */
  #declare(graph: Graph, original: Value): Value {
    const known = this.values.get(original);
    if (known !== undefined) return known;
    const value = mutate.newValue(graph, original.name, original.type);
    mutate.setMetadata(value, original.metadata);
    mutate.setExtras(value, original.extras);
    this.values.set(original, value);
    return value;
  }
}
