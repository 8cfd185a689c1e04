/**
 * The graph as everyone reads it: nodes and values joined by identity, names as labels.
 * These interfaces are read-only on purpose: `rewrite/rewriter.ts` is the one hand that changes a graph.
 */
import type { Attributes } from './attribute.js';
import type { DType } from './dtype.js';
import type { Tensor } from './tensor.js';

/** A dimension: a number, a symbolic name (`dim_param`), or unknown. */
export type Dim = number | string | undefined;

/** What is known of a value's type. A missing shape means unknown rank. */
export interface ValueType {
  readonly dtype: DType | undefined;
  readonly shape: readonly Dim[] | undefined;
}

/** A use is a place, not a name: input `slot` of `node`. */
export interface Use {
  readonly node: Node;
  readonly slot: number;
}

export interface Value {
  readonly name: string;
  /** The graph whose scope the value lives in. */
  readonly graph: Graph;
  /** The node that makes it; undefined for graph inputs and initializers. */
  readonly producer: Node | undefined;
  /** Every place that reads it, in this graph or in one nested in it; graph outputs are not uses, see `isOutput`. */
  readonly uses: ReadonlySet<Use>;
  /** The tensor of an initializer. For Constant nodes too, ask `analysis/constants.ts`. */
  readonly initializer: Tensor | undefined;
  readonly isInput: boolean;
  /** True when it is an output of any graph. */
  readonly isOutput: boolean;
  /** From the graph's inputs, outputs or value_info; undefined when the file says nothing. */
  readonly type: ValueType | undefined;
  readonly metadata: ReadonlyMap<string, string>;
  /** What `convert` must write back and nobody else reads. */
  readonly extras: Extras;
}

export interface Node {
  readonly name: string;
  readonly op: string;
  /** '' is ai.onnx. */
  readonly domain: string;
  readonly graph: Graph;
  /** undefined where an optional input is absent. */
  readonly inputs: readonly (Value | undefined)[];
  /** undefined where an optional output is absent. */
  readonly outputs: readonly (Value | undefined)[];
  readonly attributes: Attributes;
  readonly metadata: ReadonlyMap<string, string>;
  readonly extras: Extras;
}

export interface Graph {
  readonly name: string;
  /** The node that holds this graph as an attribute; undefined for the main graph. */
  readonly owner: Node | undefined;
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly initializers: ReadonlySet<Value>;
  /** In a topological order. */
  readonly nodes: readonly Node[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly extras: Extras;
}

export interface Model {
  readonly irVersion: number;
  /** Domain to version; '' is ai.onnx. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly graph: Graph;
  readonly metadata: ReadonlyMap<string, string>;
  readonly extras: Extras;
}

/** Parts of a message that the compiler does not interpret, by field name. */
export type Extras = Readonly<Record<string, unknown>>;

/** A short place for messages: the node's name, or its first output when it has none. */
export function placeOf(node: Node): string {
  return node.name || node.outputs.find((value) => value !== undefined)?.name || node.op;
}

/** The graphs that are attributes of a node. */
export function subgraphsOf(node: Node): readonly Graph[] {
  const found: Graph[] = [];
  for (const attribute of node.attributes.values()) {
    if (attribute.kind === 'graph') found.push(attribute.value);
    if (attribute.kind === 'graphs') found.push(...attribute.value);
  }
  return found;
}

/** The graph and every graph nested in it, outer first. */
export function* graphsOf(graph: Graph): Generator<Graph> {
  yield graph;
  for (const node of graph.nodes) for (const inner of subgraphsOf(node)) yield* graphsOf(inner);
}

/** Every node of the graph and of the graphs nested in it. */
export function* nodesOf(graph: Graph): Generator<Node> {
  for (const each of graphsOf(graph)) yield* each.nodes;
}

/** Inputs, initializers and outputs of nodes of one graph; an initializer that is an input comes twice. */
export function* valuesIn(graph: Graph): Generator<Value> {
  yield* graph.inputs;
  yield* graph.initializers;
  for (const node of graph.nodes) for (const value of node.outputs) if (value !== undefined) yield value;
}

/** True for operators of the default domain with this name. */
export function isOp(node: Node | undefined, op: string, domain = ''): node is Node {
  return node !== undefined && node.op === op && node.domain === domain;
}

/** An int attribute as a number, or the fallback when absent. */
export function intAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'int' ? Number(attribute.value) : fallback;
}

/** A float attribute, or the fallback when absent. */
export function floatAttribute(node: Node, name: string, fallback: number): number {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'float' ? attribute.value : fallback;
}

/** A string attribute, or the fallback when absent. */
export function stringAttribute(node: Node, name: string, fallback: string): string {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'string' ? attribute.value : fallback;
}

/** An ints attribute as numbers, or undefined when absent. */
export function intsAttribute(node: Node, name: string): readonly number[] | undefined {
  const attribute = node.attributes.get(name);
  return attribute?.kind === 'ints' ? attribute.value.map(Number) : undefined;
}
