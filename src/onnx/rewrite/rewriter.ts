/**
 * The one hand that changes a graph, and writes down what it did.
 * Safe is the short way: erasing something in use throws, names come from one authority, new nodes stand before the node they serve.
 */
import type { Attribute } from '../ir/attribute.js';
import type { Graph, Model, Node, Value, ValueType } from '../ir/graph.js';
import { placeOf } from '../ir/graph.js';
import * as mutate from '../ir/mutate.js';
import { Names } from '../ir/names.js';
import { topologicalOrder } from '../ir/order.js';
import type { Tensor } from '../ir/tensor.js';

/** One thing that was done, for the report, golden texts and "was anything modified?". */
export interface Change {
  readonly kind: 'insert' | 'erase' | 'replace' | 'initializer' | 'interface';
  readonly at: string;
}

/** What a new node is made of. */
export interface NewNode {
  readonly op: string;
  readonly domain?: string;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Node name hint; the first output is named after it. */
  readonly name: string;
  /** Number of new outputs (default 1), or the types of new outputs. */
  readonly types?: readonly (ValueType | undefined)[];
  readonly metadata?: ReadonlyMap<string, string>;
}

export class Rewriter {
  readonly model: Model;
  readonly names: Names;
  readonly #changes: Change[] = [];

  constructor(model: Model) {
    this.model = model;
    this.names = new Names(model.graph);
  }

  get changes(): readonly Change[] {
    return this.#changes;
  }

  /** Inserts a node before `anchor` (or at the end of `anchor` when it is a graph) and returns its first output. */
  insert(anchor: Node | Graph, spec: NewNode): Value {
    const node = this.insertNode(anchor, spec);
    const output = node.outputs[0];
    if (output === undefined) throw new Error(`node ${spec.name} has no output`);
    return output;
  }

  insertNode(anchor: Node | Graph, spec: NewNode): Node {
    const node = this.#place(anchor, spec);
    const types = spec.types ?? [undefined];
    types.forEach((type, slot) => {
      const name = this.names.fresh(types.length === 1 ? `${node.name}_output` : `${node.name}_output_${slot}`);
      mutate.produce(node, slot, mutate.newValue(node.graph, name, type));
    });
    this.#note('insert', node.name);
    return node;
  }

  /** Puts a new node in the place of `old`: it makes the very same output values, so names and users stay. */
  replaceNode(old: Node, spec: Omit<NewNode, 'types'>): Node {
    const outputs = [...old.outputs];
    const node = this.#place(old, spec);
    mutate.detach(old);
    outputs.forEach((value, slot) => mutate.produce(node, slot, value));
    this.#note('replace', node.name);
    return node;
  }

  /** Makes outputs of `old` the outputs of a new node before it: they keep names, users and interface, and `old` loses them. */
  takeOver(old: Node, outputs: readonly (Value | undefined)[], spec: Omit<NewNode, 'types'>): Node {
    const node = this.#place(old, spec);
    outputs.forEach((value, slot) => {
      if (value === undefined) return;
      if (value.producer !== old) throw new Error(`${value.name} is no output of ${placeOf(old)}`);
      mutate.produce(old, old.outputs.indexOf(value), undefined);
      mutate.produce(node, slot, value);
    });
    this.#note('replace', node.name);
    return node;
  }

  /** Removes a node that copies its input: the producer of the input makes the copy's output, in name and interface, for all readers. */
  bypass(copy: Node): void {
    const [from, to] = [copy.inputs[0], copy.outputs[0]];
    const maker = from?.producer;
    if (from === undefined || to === undefined || maker === undefined || from.isOutput)
      throw new Error(`${placeOf(copy)} does not copy what a node makes`);
    mutate.produce(copy, 0, undefined);
    mutate.detach(copy);
    for (const use of [...from.uses]) mutate.connect(use.node, use.slot, to);
    mutate.produce(maker, maker.outputs.indexOf(from), to);
    this.#note('erase', placeOf(copy));
  }

  /** Puts the nodes of a graph in a topological order, for nodes that were added behind their readers. */
  sort(graph: Graph): void {
    mutate.setNodes(graph, topologicalOrder(graph));
  }

  /** Adds an initializer to `graph` under a fresh name made from `hint`. */
  initializer(graph: Graph, hint: string, tensor: Tensor): Value {
    const value = mutate.newValue(graph, this.names.fresh(hint), undefined);
    mutate.setInitializer(value, tensor);
    this.#note('initializer', value.name);
    return value;
  }

  /** Exchanges the tensor of an initializer; its name and users stay. */
  setTensor(value: Value, tensor: Tensor): void {
    if (value.initializer === undefined) throw new Error(`${value.name} is not an initializer`);
    mutate.setInitializer(value, tensor);
    if (value.type !== undefined) mutate.setType(value, { dtype: tensor.dtype, shape: tensor.shape });
    this.#note('initializer', value.name);
  }

  /** Says another type of a value that is no initializer. */
  setType(value: Value, type: ValueType): void {
    mutate.setType(value, type);
    this.#note('replace', value.name);
  }

  /** Points every use of `from` at `to`. Graph outputs are interface and are not moved. */
  replaceUses(from: Value, to: Value): void {
    for (const use of [...from.uses]) mutate.connect(use.node, use.slot, to);
    this.#note('replace', from.name);
  }

  /** Points one input of a node at another value. */
  replaceInput(node: Node, slot: number, value: Value | undefined): void {
    mutate.connect(node, slot, value);
    this.#note('replace', placeOf(node));
  }

  setAttribute(node: Node, name: string, attribute: Attribute | undefined): void {
    mutate.setAttribute(node, name, attribute);
    this.#note('replace', placeOf(node));
  }

  /** Removes a node whose outputs nobody uses. */
  erase(node: Node): void {
    const used = node.outputs.find((value) => value !== undefined && (value.uses.size > 0 || value.isOutput));
    if (used !== undefined) throw new Error(`cannot erase ${placeOf(node)}: ${used.name} is in use`);
    this.#note('erase', placeOf(node));
    mutate.detach(node);
  }

  /** Removes an initializer that nobody uses. */
  eraseInitializer(value: Value): void {
    if (value.uses.size > 0 || value.isOutput) throw new Error(`cannot erase ${value.name}: it is in use`);
    this.#note('erase', value.name);
    mutate.setInitializer(value, undefined);
  }

  /** Erases `node` and, upstream, every node and initializer that this leaves without a use. */
  eraseDead(node: Node): void {
    if (node.outputs.some((value) => value !== undefined && (value.uses.size > 0 || value.isOutput))) return;
    const inputs = [...node.inputs];
    this.erase(node);
    this.dropUnused(inputs);
  }

  /** `dropIfUnused` for each of some values, such as what a node has read. */
  dropUnused(values: Iterable<Value | undefined>): void {
    for (const value of new Set(values)) if (value !== undefined) this.dropIfUnused(value);
  }

  /** Erases the producer chain or the initializer behind a value that nobody uses; does nothing when it is used. */
  dropIfUnused(value: Value): void {
    if (value.uses.size > 0 || value.isOutput || value.isInput) return;
    if (value.producer !== undefined) this.eraseDead(value.producer);
    else if (value.initializer !== undefined) this.eraseInitializer(value);
  }

  /** Adds a graph input (new interface: segments and training graphs only). */
  addInput(graph: Graph, name: string, type: ValueType): Value {
    const value = mutate.newValue(graph, this.names.fresh(name), type);
    mutate.addInput(graph, value);
    this.#note('interface', value.name);
    return value;
  }

  /** Removes the input entry of an initializer, which then is a plain constant. */
  removeDefault(graph: Graph, value: Value): void {
    if (value.initializer === undefined) throw new Error(`${value.name} is an input that callers feed`);
    mutate.removeInput(graph, value);
    this.#note('initializer', value.name);
  }

  /** Adds a graph output (new interface: segments and training graphs only). */
  addOutput(graph: Graph, value: Value, type?: ValueType): void {
    if (type !== undefined) mutate.setType(value, type);
    mutate.addOutput(graph, value);
    this.#note('interface', value.name);
  }

  /** Removes output `slot` of a graph (segments and training graphs only). */
  removeOutput(graph: Graph, slot: number): void {
    this.#note('interface', graph.outputs[slot]?.name ?? graph.name);
    mutate.removeOutput(graph, slot);
  }

  /** Declares that the model uses `domain`; an existing version stays. */
  requireDomain(domain: string, version: number): void {
    if (!this.model.opsets.has(domain)) mutate.setOpset(this.model, domain, version);
  }

  /** Raises the version of the default operator set; lower requests are ignored. */
  raiseOpset(version: number, irVersion: number): void {
    if ((this.model.opsets.get('') ?? 0) < version) mutate.setOpset(this.model, '', version);
    if (this.model.irVersion < irVersion) mutate.setIrVersion(this.model, irVersion);
  }

  /** Adds or overwrites one entry of the model's or a node's metadata. */
  setMetadata(target: Model | Node | Value, key: string, text: string): void {
    mutate.setMetadata(target, new Map(target.metadata).set(key, text));
  }

  /** Removes the entries of metadata whose keys `isDropped` names. */
  dropMetadata(target: Graph | Node | Value, isDropped: (key: string) => boolean): void {
    const kept = [...target.metadata].filter(([key]) => !isDropped(key));
    if (kept.length === target.metadata.size) return;
    mutate.setMetadata(target, new Map(kept));
    this.#note('replace', 'op' in target ? placeOf(target) : target.name);
  }

  #place(anchor: Node | Graph, spec: Omit<NewNode, 'types'>): Node {
    const isNode = 'op' in anchor;
    const graph = isNode ? anchor.graph : anchor;
    const name = this.names.fresh(spec.name);
    const attributes = Object.entries(spec.attributes ?? {});
    const position = isNode ? graph.nodes.indexOf(anchor) : graph.nodes.length;
    const node = mutate.newNode(graph, { name, op: spec.op, domain: spec.domain ?? '', attributes }, position);
    spec.inputs.forEach((value, slot) => mutate.connect(node, slot, value));
    if (spec.metadata !== undefined) mutate.setMetadata(node, spec.metadata);
    return node;
  }

  #note(kind: Change['kind'], at: string): void {
    this.#changes.push({ kind, at });
  }
}
