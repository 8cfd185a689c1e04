/**
 * The structural verifier: a table of facts that hold of every valid model, cheap enough to run after every pass.
 * It does not know operators; ONNX Runtime does.
 */
import { type Diagnostic, type ErrorCode, fail } from '../../diagnostics.js';
import { byteLengthOf } from './dtype.js';
import { type Graph, graphsOf, type Model, type Node, nodesOf, placeOf, subgraphsOf, type Value } from './graph.js';

/** One graph of a model, with what surrounds it. */
interface Scope {
  readonly model: Model;
  /** Domains of nodes that may be there without an import. */
  readonly placeholders: readonly string[];
  readonly graph: Graph;
  /** Positions of the graph's own nodes. */
  readonly position: ReadonlyMap<Node, number>;
  readonly outer: Scope | undefined;
  /** How many inputs of the whole model read each value. */
  readonly reads: ReadonlyMap<Value, number>;
}

type Report = (code: ErrorCode, at: string, message: string) => void;
type FactCheck = (scope: Scope, report: Report) => void;

/** Every fact, checked on each graph. */
const FACTS: Readonly<Record<string, FactCheck>> = {
  'every input is made before it is read': inputsAreMade,
  'names are unique along a chain of scopes': namesAreUnique,
  'uses and inputs agree': usesAgree,
  'outputs know their node': outputsAgree,
  'graph outputs are visible': graphOutputsAreVisible,
  'initializers have the bytes of their shape': initializersFit,
  'operators come from declared domains': domainsAreDeclared,
  'graphs know their owner': ownersAgree,
};

/** Everything that is wrong with the structure of a model; empty when it is valid. Domains in `placeholders` need no import. */
export function verify(model: Model, placeholders: readonly string[] = []): readonly Diagnostic[] {
  const found: Diagnostic[] = [];
  const report: Report = (code, at, message) => found.push({ code, at, message });
  checkGraph(scopeOf({ model, placeholders, reads: countReads(model) }, model.graph, undefined), report);
  return found;
}

/** Throws the first thing that is wrong. */
export function verifyOrFail(model: Model): void {
  const [first] = verify(model);
  if (first !== undefined) fail(first.code, first.at, first.message);
}

type Whole = Pick<Scope, 'model' | 'placeholders' | 'reads'>;

function scopeOf({ model, placeholders, reads }: Whole, graph: Graph, outer: Scope | undefined): Scope {
  const position = new Map(graph.nodes.map((node, index) => [node, index]));
  return { model, placeholders, reads, graph, position, outer };
}

function checkGraph(scope: Scope, report: Report): void {
  for (const check of Object.values(FACTS)) check(scope, report);
  for (const node of scope.graph.nodes) {
    for (const inner of subgraphsOf(node)) checkGraph(scopeOf(scope, inner, scope), report);
  }
}

function inputsAreMade(scope: Scope, report: Report): void {
  scope.graph.nodes.forEach((node, index) => {
    for (const value of node.inputs) {
      if (value !== undefined) checkVisible(scope, value, index, placeOf(node), report);
    }
  });
}

/** A value must be made in this graph before `before`, or in an outer one before the node that holds this graph. */
function checkVisible(scope: Scope, value: Value, before: number, at: string, report: Report): void {
  let [here, limit]: [Scope | undefined, number] = [scope, before];
  while (here !== undefined && here.graph !== value.graph) {
    limit = here.graph.owner === undefined ? -1 : (here.outer?.position.get(here.graph.owner) ?? -1);
    here = here.outer;
  }
  const made = value.producer === undefined ? undefined : here?.position.get(value.producer);
  const isGiven = value.producer === undefined && (value.isInput || value.initializer !== undefined);
  if (here === undefined)
    report('unknown-value', at, `${value.name} belongs to a graph that does not surround this one`);
  else if (isGiven) return;
  else if (value.producer === undefined) report('unknown-value', at, `nothing makes ${value.name}`);
  else if (made === undefined) report('unknown-value', at, `${value.name} is made by a node that is not in the graph`);
  else if (made >= limit) report('cyclic-graph', at, `${value.name} is read before it is made`);
}

function* valuesMadeIn(graph: Graph): Generator<Value> {
  yield* new Set([...graph.inputs, ...graph.initializers]);
  for (const node of graph.nodes) for (const value of node.outputs) if (value !== undefined) yield value;
}

function namesAreUnique(scope: Scope, report: Report): void {
  const names = new Set<string>();
  for (const value of valuesMadeIn(scope.graph)) {
    if (value.name === '') report('invalid-graph', scope.graph.name, 'a value has no name');
    if (names.has(value.name)) report('duplicate-name', value.name, 'two values of one graph have the same name');
    names.add(value.name);
  }
  for (let outer = scope.outer; outer !== undefined; outer = outer.outer) {
    for (const value of valuesMadeIn(outer.graph)) {
      if (names.has(value.name) && isReadIn(value, scope.graph)) {
        report('duplicate-name', value.name, 'a value of a nested graph hides the one that is read');
      }
    }
  }
}

/** Hiding an outer name is harmless until something inside reads the outer value. */
function isReadIn(value: Value, graph: Graph): boolean {
  if (value.uses.size === 0) return false;
  const inside = new Set<Graph>(graphsOf(graph));
  return [...value.uses].some(({ node }) => inside.has(node.graph));
}

function usesAgree(scope: Scope, report: Report): void {
  for (const node of scope.graph.nodes) {
    if (node.graph !== scope.graph) report('invalid-graph', placeOf(node), 'the node believes to be in another graph');
  }
  for (const value of valuesMadeIn(scope.graph)) {
    const stale = [...value.uses].find(({ node, slot }) => node.inputs[slot] !== value);
    if (stale !== undefined) {
      report('invalid-graph', value.name, `the value believes that ${placeOf(stale.node)} reads it`);
    } else if (value.uses.size !== (scope.reads.get(value) ?? 0)) {
      report('invalid-graph', value.name, 'the uses of the value are not the inputs that read it');
    }
  }
}

/** How many inputs read each value, over all graphs. */
function countReads(model: Model): ReadonlyMap<Value, number> {
  const reads = new Map<Value, number>();
  for (const node of nodesOf(model.graph)) {
    for (const value of node.inputs) if (value !== undefined) reads.set(value, (reads.get(value) ?? 0) + 1);
  }
  return reads;
}

function outputsAgree(scope: Scope, report: Report): void {
  for (const node of scope.graph.nodes) {
    for (const value of node.outputs) {
      const agrees = value === undefined || (value.producer === node && value.graph === scope.graph && !value.isInput);
      if (!agrees) report('invalid-graph', placeOf(node), `${value?.name} does not know that this node makes it`);
    }
  }
}

function graphOutputsAreVisible(scope: Scope, report: Report): void {
  for (const value of scope.graph.outputs) {
    checkVisible(scope, value, scope.graph.nodes.length, scope.graph.name, report);
    if (!value.isOutput) report('invalid-graph', value.name, 'the value does not know that it is a graph output');
  }
}

function initializersFit(scope: Scope, report: Report): void {
  for (const value of scope.graph.initializers) {
    const tensor = value.initializer;
    if (tensor === undefined || value.graph !== scope.graph) {
      report('invalid-graph', value.name, 'the initializer has no tensor, or is in another graph');
    } else if (tensor.dtype !== 'string' && tensor.byteLength !== byteLengthOf(tensor.dtype, tensor.shape)) {
      report('tensor-size', value.name, `${tensor.byteLength} bytes do not make [${tensor.shape}] of ${tensor.dtype}`);
    }
    if (value.producer !== undefined) report('invalid-graph', value.name, 'a node makes an initializer');
  }
}

function domainsAreDeclared(scope: Scope, report: Report): void {
  for (const node of scope.graph.nodes) {
    if (scope.model.opsets.has(node.domain) || scope.placeholders.includes(node.domain)) continue;
    const domain = node.domain === '' ? 'ai.onnx' : node.domain;
    report('invalid-graph', placeOf(node), `the model does not import the operator set ${domain}`);
  }
}

function ownersAgree(scope: Scope, report: Report): void {
  for (const node of scope.graph.nodes) {
    for (const inner of subgraphsOf(node)) {
      if (inner.owner !== node)
        report('invalid-graph', placeOf(node), `the graph ${inner.name} does not know its node`);
    }
  }
}
