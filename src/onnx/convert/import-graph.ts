/** Graph messages to graphs: names are resolved once, lexically, and from then on values are joined by identity. */
import { fail } from '../../diagnostics.js';
import type { Graph, Node, Value } from '../ir/graph.js';
import * as mutate from '../ir/mutate.js';
import { topologicalOrder } from '../ir/order.js';
import type { GraphProto, NodeProto, ValueInfoProto } from '../proto/messages.js';
import { importAttribute } from './import-attribute.js';
import type { TensorImporter } from './import-tensor.js';
import { isPlainMetadata, leftovers, metadataMap } from './leftovers.js';
import { importSparse } from './sparse.js';
import { valueTypeOf } from './value-type.js';

/** What export needs to write the parts of a graph that the IR does not model. */
export interface GraphExtras {
  /** Fields the IR does not interpret. */
  readonly rest: GraphProto;
  /** The entries as they came: documentation, denotations, types that are no tensors. */
  readonly inputs: readonly ValueInfoProto[];
  readonly outputs: readonly ValueInfoProto[];
  readonly valueInfo: readonly ValueInfoProto[];
  /** Names in `valueInfo` that are no value of the graph. */
  readonly dangling: ReadonlySet<string>;
}

/** What the file said of a value, so that export can tell what has changed since. */
export interface ValueExtras {
  readonly type: Value['type'];
  readonly metadata: Value['metadata'];
}

/** The names of one graph and of those around it. */
class Scope {
  readonly graph: Graph;
  readonly at: string;
  readonly #outer: Scope | undefined;
  readonly #values: Map<string, Value> = new Map();

  constructor(graph: Graph, outer: Scope | undefined, at: string) {
    this.graph = graph;
    this.#outer = outer;
    this.at = at;
  }

  declare(name: string): Value {
    if (name === '') fail('invalid-graph', this.at, 'a value has no name');
    if (this.#values.has(name)) fail('duplicate-name', this.at, `${JSON.stringify(name)} is defined twice`);
    const value = mutate.newValue(this.graph, name);
    this.#values.set(name, value);
    return value;
  }

  own(name: string): Value | undefined {
    return this.#values.get(name);
  }

  resolve(name: string, at: string): Value {
    const value = this.find(name);
    return value ?? fail('unknown-value', at, `nothing makes ${JSON.stringify(name)}`);
  }

  find(name: string): Value | undefined {
    return this.#values.get(name) ?? this.#outer?.find(name);
  }
}

const GRAPH_FIELDS = [
  'node',
  'name',
  'initializer',
  'sparseInitializer',
  'input',
  'output',
  'valueInfo',
  'metadataProps',
] as const;

/** The graph of a message. `at` is the place of the model or node that holds it. */
export function importGraph(message: GraphProto, tensors: TensorImporter, at: string): Graph {
  return graphIn(undefined, message, tensors, at);
}

function graphIn(outer: Scope | undefined, message: GraphProto, tensors: TensorImporter, at: string): Graph {
  const graph = mutate.newGraph(message.name ?? '');
  const scope = new Scope(graph, outer, at);
  for (const info of message.input ?? []) mutate.addInput(graph, scope.declare(info.name ?? ''));
  importInitializers(scope, message, tensors);
  const nodes = message.node ?? [];
  const outputs = nodes.map((node) =>
    (node.output ?? []).map((name) => (name === '' ? undefined : scope.declare(name))),
  );
  nodes.forEach((node, index) => importNode(scope, node, outputs[index] ?? [], tensors));
  for (const info of message.output ?? []) mutate.addOutput(graph, scope.resolve(info.name ?? '', at));
  const order = topologicalOrder(graph);
  if (order !== graph.nodes) mutate.setNodes(graph, order);
  describeValues(scope, message);
  const keys = isPlainMetadata(message.metadataProps) ? GRAPH_FIELDS : GRAPH_FIELDS.slice(0, -1);
  mutate.setMetadata(graph, metadataMap(message.metadataProps));
  mutate.setExtras(graph, { ...extrasOf(scope, message, leftovers(message, keys)) });
  return graph;
}

function extrasOf(scope: Scope, message: GraphProto, rest: GraphProto): GraphExtras {
  const valueInfo = message.valueInfo ?? [];
  const names = valueInfo.map((info) => info.name ?? '');
  const dangling = new Set(names.filter((name) => scope.own(name) === undefined));
  return { rest, inputs: message.input ?? [], outputs: message.output ?? [], valueInfo, dangling };
}

function importInitializers(scope: Scope, message: GraphProto, tensors: TensorImporter): void {
  for (const initializer of message.initializer ?? []) {
    const value = initializedValue(scope, initializer.name ?? '');
    mutate.setInitializer(value, tensors.tensor(initializer, `${scope.at}: ${initializer.name}`));
  }
  for (const sparse of message.sparseInitializer ?? []) {
    const name = sparse.values?.name ?? '';
    mutate.setInitializer(initializedValue(scope, name), importSparse(sparse, tensors, `${scope.at}: ${name}`));
  }
}

/** An initializer may share its name with one input: a default that callers can replace. */
function initializedValue(scope: Scope, name: string): Value {
  const input = scope.own(name);
  return input?.isInput && input.initializer === undefined ? input : scope.declare(name);
}

const NODE_FIELDS = ['input', 'output', 'name', 'opType', 'domain', 'attribute', 'metadataProps'] as const;

function importNode(
  scope: Scope,
  message: NodeProto,
  outputs: readonly (Value | undefined)[],
  tensors: TensorImporter,
): void {
  const place = message.name || message.output?.find((name) => name !== '') || message.opType || 'node';
  const at = `${scope.at}: ${place}`;
  if (!message.opType) fail('invalid-graph', at, 'a node has no operator');
  const domain = message.domain === 'ai.onnx' ? '' : (message.domain ?? '');
  const attributes = attributesOf(scope, message, tensors, at);
  const node = mutate.newNode(scope.graph, { name: message.name ?? '', op: message.opType, domain, attributes });
  (message.input ?? []).forEach((name, slot) => {
    mutate.connect(node, slot, name === '' ? undefined : scope.resolve(name, at));
  });
  outputs.forEach((value, slot) => mutate.produce(node, slot, value));
  mutate.setMetadata(node, metadataMap(message.metadataProps));
  mutate.setExtras(node, { rest: nodeRest(message) });
}

function nodeRest(message: NodeProto): NodeProto {
  const keys = isPlainMetadata(message.metadataProps) ? NODE_FIELDS : NODE_FIELDS.slice(0, -1);
  const rest = leftovers(message, keys);
  if (message.domain === 'ai.onnx') rest.domain = message.domain;
  return rest;
}

function attributesOf(scope: Scope, message: NodeProto, tensors: TensorImporter, at: string): Node['attributes'] {
  const attributes = new Map();
  for (const attribute of message.attribute ?? []) {
    const name = attribute.name ?? '';
    const place = `${at}.${name}`;
    if (attributes.has(name)) fail('invalid-graph', place, 'the attribute is given twice');
    attributes.set(
      name,
      importAttribute(attribute, {
        tensor: (tensor) => tensors.tensor(tensor, place),
        graph: (graph) => graphIn(scope, graph, tensors, place),
        localised: (tensor) => tensors.localised(tensor, place),
      }),
    );
  }
  return attributes;
}

/** Types and metadata come from the inputs, else the outputs, else value_info. */
function describeValues(scope: Scope, message: GraphProto): void {
  const described = new Set<Value>();
  for (const info of [...(message.input ?? []), ...(message.output ?? []), ...(message.valueInfo ?? [])]) {
    const value = scope.own(info.name ?? '');
    if (value === undefined || described.has(value)) continue;
    described.add(value);
    mutate.setType(value, valueTypeOf(info.type));
    mutate.setMetadata(value, metadataMap(info.metadataProps));
    const extras: ValueExtras = { type: value.type, metadata: value.metadata };
    mutate.setExtras(value, { ...extras });
  }
}
