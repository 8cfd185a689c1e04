/**
 * Local functions of a model (`ModelProto.functions`) put in the place of their calls, as ONNX Runtime does when it loads a model:
 * afterwards every node is an operator. Source: onnx/docs/IR.md, "Functions".
 */

import { fail } from '../../diagnostics.js';
import { copyOf, type FunctionProto, type GraphProto, type ModelProto, type NodeProto } from '../proto/messages.js';
import { type Bindings, bindAttributes, inGraphs, renamed } from './function-body.js';
import { opsetDomain } from './opset-domain.js';

/** More nodes than any model of this size of file has: calls that call each other twice grow without bound. */
const MOST_NODES = 200_000;

/** A model without functions, which computes the same. Fails with `local-function` where that is not possible. */
export function inlineFunctions(message: ModelProto, at: string): ModelProto {
  const functions = message.functions ?? [];
  if (functions.length === 0 || message.graph === undefined) return message;
  const inliner = new Inliner(message, functions, at);
  inliner.requireFinite();
  const graph = inliner.graph(message.graph);
  const opsetImport = inliner.imports(graph);
  return copyOf(message, { graph, opsetImport, functions: undefined });
}

class Inliner {
  readonly #functions: Map<string, FunctionProto> = new Map();
  readonly #versions: Map<string, number> = new Map();
  readonly #imports: NonNullable<ModelProto['opsetImport']>;
  readonly #at: string;
  /** Functions being put in place, outermost first. */
  readonly #open: string[] = [];
  /** Nodes that a call of each function becomes. */
  readonly #sizes: Map<string, number> = new Map();
  #calls = 0;

  constructor(message: ModelProto, functions: readonly FunctionProto[], at: string) {
    this.#at = at;
    this.#imports = [...(message.opsetImport ?? [])];
    for (const each of this.#imports) this.#versions.set(domainOf(each), each.version?.toNumber() ?? 0);
    for (const each of functions) {
      const key = keyOf({ ...each, opType: each.name ?? '' });
      if (this.#functions.has(key)) this.#refuse(key, 'is defined twice');
      this.#functions.set(key, each);
    }
  }

  /** Refuses functions that call themselves, and those that become too large. */
  requireFinite(): void {
    for (const key of this.#functions.keys())
      if (this.#sizeOf(key) > MOST_NODES) this.#refuse(key, `becomes more than ${MOST_NODES} nodes`);
  }

  #sizeOf(key: string): number {
    const known = this.#sizes.get(key);
    if (known !== undefined) return known;
    if (this.#open.includes(key)) this.#refuse(key, 'calls itself');
    this.#open.push(key);
    let size = 0;
    for (const node of nodesIn(this.#functions.get(key)?.node ?? [])) {
      const called = keyOf(node);
      size += this.#functions.has(called) ? this.#sizeOf(called) : 1;
    }
    this.#open.pop();
    this.#sizes.set(key, size);
    return size;
  }

  graph(graph: GraphProto): GraphProto {
    return copyOf(graph, { node: this.#inlined(graph.node ?? []) });
  }

  /** The operator sets of the model, without those of functions that nothing uses any more. */
  imports(graph: GraphProto): NonNullable<ModelProto['opsetImport']> {
    const used = new Set(domainsIn(graph));
    const ofFunctions = new Set([...this.#functions.values()].map(domainOf));
    return this.#imports.filter((each) => used.has(domainOf(each)) || !ofFunctions.has(domainOf(each)));
  }

  #inlined(nodes: readonly NodeProto[]): NodeProto[] {
    return nodes.flatMap((node) => {
      const called = this.#functions.get(keyOf(node));
      if (called !== undefined) return this.#body(node, called);
      return [this.#withGraphs(node)];
    });
  }

  #withGraphs(node: NodeProto): NodeProto {
    if (!node.attribute?.some(({ g, graphs }) => g !== undefined || (graphs?.length ?? 0) > 0)) return node;
    const attribute = node.attribute.map((each) => inGraphs(each, (graph) => this.graph(graph)));
    return copyOf(node, { attribute });
  }

  #body(call: NodeProto, called: FunctionProto): NodeProto[] {
    const key = keyOf(call);
    this.#requireImports(called, key);
    const bindings = this.#bind(call, called, key);
    const nodes = (called.node ?? []).map((node) => renamed(bindAttributes(node, call, called), bindings));
    return this.#inlined([...nodes, ...passedThrough(called, bindings)]);
  }

  /** What names inside the function are called outside. */
  #bind(call: NodeProto, called: FunctionProto, key: string): Bindings {
    const [inputs, outputs] = [called.input ?? [], called.output ?? []];
    if ((call.input?.length ?? 0) > inputs.length) this.#refuse(key, `takes ${inputs.length} inputs`);
    if ((call.output?.length ?? 0) > outputs.length) this.#refuse(key, `gives ${outputs.length} outputs`);
    const prefix = `${call.name || call.output?.find((name) => name !== '') || called.name}/${this.#calls++}/`;
    const names = new Map<string, string>();
    outputs.forEach((name, at) => names.set(name, call.output?.[at] || `${prefix}${name}`));
    // An input that is an output too is passed through by a node of its own.
    inputs.forEach((name, at) => names.set(name, call.input?.[at] ?? ''));
    return { names, prefix, outputs: outputs.map((name, at) => call.output?.[at] || `${prefix}${name}/out`) };
  }

  /** The function's operators must mean the same in the model. */
  #requireImports(called: FunctionProto, key: string): void {
    for (const each of called.opsetImport ?? []) {
      const [domain, version] = [domainOf(each), each.version?.toNumber() ?? 0];
      const own = this.#versions.get(domain);
      if (own === undefined) {
        this.#versions.set(domain, version);
        this.#imports.push(each);
      } else if (own !== version) {
        const name = domain === '' ? 'ai.onnx' : domain;
        this.#refuse(key, `uses version ${version} of the operator set ${name}, and the model version ${own}`);
      }
    }
  }

  #refuse(key: string, what: string): never {
    return fail('local-function', this.#at, `The local function ${key} ${what}`);
  }
}

/** A function output that is one of its inputs: the value has two names outside. */
function passedThrough({ input = [], output = [] }: FunctionProto, { names, outputs }: Bindings): NodeProto[] {
  return output.flatMap((name, at) =>
    input.includes(name)
      ? [
          {
            opType: 'Identity',
            name: `${outputs[at]}/identity`,
            input: [names.get(name) ?? ''],
            output: [outputs[at] ?? ''],
          },
        ]
      : [],
  );
}

const domainOf = ({ domain }: { readonly domain?: string }): string => opsetDomain(domain);

/** `domain::name`, with the overload behind a colon. */
function keyOf(node: Pick<NodeProto, 'opType' | 'domain' | 'overload'>): string {
  const name = `${domainOf(node)}::${node.opType ?? ''}`;
  return node.overload ? `${name}:${node.overload}` : name;
}

const domainsIn = (graph: GraphProto): readonly string[] => [...nodesIn(graph.node ?? [])].map(domainOf);

/** The nodes and those of the graphs they hold. */
function* nodesIn(nodes: readonly NodeProto[]): Generator<NodeProto> {
  for (const node of nodes) {
    yield node;
    for (const { g, graphs = [] } of node.attribute ?? [])
      for (const inner of g === undefined ? graphs : [g, ...graphs]) yield* nodesIn(inner.node ?? []);
  }
}
