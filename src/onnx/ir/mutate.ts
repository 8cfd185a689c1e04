/**
 * The mutable side of the graph: the classes behind the read-only interfaces, and the only functions that change them.
 * Reserved for `rewrite/` (the rewriter) and `convert/` (the importer); the linter refuses it elsewhere.
 */
import type { Attribute } from './attribute.js';
import type { Extras, Graph, Model, Node, Use, Value, ValueType } from './graph.js';
import { subgraphsOf } from './graph.js';
import type { Tensor } from './tensor.js';

class ValueCell implements Value {
  name: string;
  readonly graph: GraphCell;
  producer: NodeCell | undefined = undefined;
  readonly uses: Set<Use> = new Set();
  initializer: Tensor | undefined = undefined;
  isInput = false;
  /** How many graphs list it among their outputs. */
  outputCount = 0;
  type: ValueType | undefined;
  metadata: ReadonlyMap<string, string> = new Map();
  extras: Extras = {};

  constructor(name: string, graph: GraphCell, type: ValueType | undefined) {
    this.name = name;
    this.graph = graph;
    this.type = type;
  }

  get isOutput(): boolean {
    return this.outputCount > 0;
  }
}

class NodeCell implements Node {
  name: string;
  op: string;
  domain: string;
  readonly graph: GraphCell;
  readonly inputs: (ValueCell | undefined)[] = [];
  /** The use object of each input slot, so that it can be taken out of the value's set again. */
  readonly slots: (Use | undefined)[] = [];
  readonly outputs: (ValueCell | undefined)[] = [];
  attributes: Map<string, Attribute>;
  metadata: ReadonlyMap<string, string> = new Map();
  extras: Extras = {};

  constructor(graph: GraphCell, spec: NodeSpec) {
    this.graph = graph;
    this.name = spec.name;
    this.op = spec.op;
    this.domain = spec.domain ?? '';
    this.attributes = new Map(spec.attributes ?? []);
  }
}

class GraphCell implements Graph {
  name: string;
  owner: NodeCell | undefined = undefined;
  readonly inputs: ValueCell[] = [];
  readonly outputs: ValueCell[] = [];
  readonly initializers: Set<ValueCell> = new Set();
  nodes: NodeCell[] = [];
  metadata: ReadonlyMap<string, string> = new Map();
  extras: Extras = {};

  constructor(name: string) {
    this.name = name;
  }
}

class ModelCell implements Model {
  irVersion: number;
  readonly opsets: Map<string, number>;
  producerName = '';
  producerVersion = '';
  readonly graph: GraphCell;
  metadata: Map<string, string> = new Map();
  extras: Extras = {};

  constructor(graph: GraphCell, irVersion: number, opsets: ReadonlyMap<string, number>) {
    this.graph = graph;
    this.irVersion = irVersion;
    this.opsets = new Map(opsets);
  }
}

/** What a new node needs. Inputs and outputs are joined afterwards with `connect` and `produce`. */
export interface NodeSpec {
  readonly name: string;
  readonly op: string;
  readonly domain?: string;
  readonly attributes?: Iterable<readonly [string, Attribute]>;
}

const cell = {
  value: (value: Value): ValueCell => value as ValueCell,
  node: (node: Node): NodeCell => node as NodeCell,
  graph: (graph: Graph): GraphCell => graph as GraphCell,
  model: (model: Model): ModelCell => model as ModelCell,
};

export function newModel(graph: Graph, irVersion: number, opsets: ReadonlyMap<string, number>): Model {
  return new ModelCell(cell.graph(graph), irVersion, opsets);
}

export function newGraph(name: string): Graph {
  return new GraphCell(name);
}

/** Makes a value in the scope of `graph`; it has no producer, no tensor and no users yet. */
export function newValue(graph: Graph, name: string, type?: ValueType): Value {
  return new ValueCell(name, cell.graph(graph), type);
}

/** Makes a node and puts it at `position` (default: the end) of its graph. Graph attributes get it as their owner. */
export function newNode(graph: Graph, spec: NodeSpec, position?: number): Node {
  const node = new NodeCell(cell.graph(graph), spec);
  node.graph.nodes.splice(position ?? node.graph.nodes.length, 0, node);
  for (const inner of subgraphsOf(node)) cell.graph(inner).owner = node;
  return node;
}

/** Joins input `slot` of `node` to `value`, leaving the value it read before. */
export function connect(node: Node, slot: number, value: Value | undefined): void {
  const owner = cell.node(node);
  const before = owner.slots[slot];
  if (before !== undefined) owner.inputs[slot]?.uses.delete(before);
  while (owner.inputs.length < slot) {
    owner.inputs.push(undefined);
    owner.slots.push(undefined);
  }
  const use = value === undefined ? undefined : { node, slot };
  owner.inputs[slot] = value === undefined ? undefined : cell.value(value);
  owner.slots[slot] = use;
  if (use !== undefined && value !== undefined) cell.value(value).uses.add(use);
}

/** Drops trailing input slots beyond `count`. */
export function truncateInputs(node: Node, count: number): void {
  const owner = cell.node(node);
  for (let slot = count; slot < owner.inputs.length; slot++) connect(node, slot, undefined);
  owner.inputs.length = Math.min(owner.inputs.length, count);
  owner.slots.length = owner.inputs.length;
}

/** Makes `node` the producer of `value` as output `slot`. The value must have none. */
export function produce(node: Node, slot: number, value: Value | undefined): void {
  const owner = cell.node(node);
  while (owner.outputs.length < slot) owner.outputs.push(undefined);
  owner.outputs[slot] = value === undefined ? undefined : cell.value(value);
  if (value !== undefined) cell.value(value).producer = owner;
}

/** Takes a node out of its graph: its inputs are released, its outputs lose their producer. */
export function detach(node: Node): void {
  const owner = cell.node(node);
  truncateInputs(node, 0);
  for (const output of owner.outputs) if (output?.producer === owner) output.producer = undefined;
  owner.outputs.length = 0;
  owner.graph.nodes.splice(owner.graph.nodes.indexOf(owner), 1);
}

export function setNodes(graph: Graph, nodes: readonly Node[]): void {
  cell.graph(graph).nodes = nodes.map(cell.node);
}

export function setInitializer(value: Value, tensor: Tensor | undefined): void {
  const target = cell.value(value);
  target.initializer = tensor;
  if (tensor === undefined) target.graph.initializers.delete(target);
  else target.graph.initializers.add(target);
}

export function addInput(graph: Graph, value: Value): void {
  cell.value(value).isInput = true;
  cell.graph(graph).inputs.push(cell.value(value));
}

export function removeInput(graph: Graph, value: Value): void {
  cell.value(value).isInput = false;
  const inputs = cell.graph(graph).inputs;
  inputs.splice(inputs.indexOf(cell.value(value)), 1);
}

export function addOutput(graph: Graph, value: Value): void {
  cell.value(value).outputCount++;
  cell.graph(graph).outputs.push(cell.value(value));
}

export function removeOutput(graph: Graph, slot: number): void {
  const [before] = cell.graph(graph).outputs.splice(slot, 1);
  if (before !== undefined) before.outputCount--;
}

export function setType(value: Value, type: ValueType | undefined): void {
  cell.value(value).type = type;
}

export function setName(target: Value | Node | Graph, name: string): void {
  (target as { name: string }).name = name;
}

export function setOp(node: Node, op: string, domain: string): void {
  cell.node(node).op = op;
  cell.node(node).domain = domain;
}

export function setAttribute(node: Node, name: string, attribute: Attribute | undefined): void {
  const owner = cell.node(node);
  if (attribute === undefined) owner.attributes.delete(name);
  else owner.attributes.set(name, attribute);
  for (const inner of subgraphsOf(node)) cell.graph(inner).owner = owner;
}

export function setMetadata(target: Value | Node | Graph | Model, metadata: ReadonlyMap<string, string>): void {
  (target as { metadata: ReadonlyMap<string, string> }).metadata = new Map(metadata);
}

export function setExtras(target: Value | Node | Graph | Model, extras: Extras): void {
  (target as { extras: Extras }).extras = extras;
}

export function setOpset(model: Model, domain: string, version: number): void {
  cell.model(model).opsets.set(domain, version);
}

export function setIrVersion(model: Model, version: number): void {
  cell.model(model).irVersion = version;
}

export function setProducer(model: Model, name: string, version: string): void {
  cell.model(model).producerName = name;
  cell.model(model).producerVersion = version;
}
