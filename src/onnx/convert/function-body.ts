/** The nodes of a local function, with the names and attributes of one call. */
import {
  type AttributeProto,
  copyOf,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type ValueInfoProto,
} from '../proto/messages.js';

/** What names of a function are called where it is put. */
export interface Bindings {
  /** Inputs and outputs; '' where the call has none. */
  readonly names: ReadonlyMap<string, string>;
  /** Stands before every other name. */
  readonly prefix: string;
  /** Names of the outputs, in order. */
  readonly outputs: readonly string[];
}

/** A node with its values renamed, those of nested graphs too. */
export function renamed(node: NodeProto, bindings: Bindings): NodeProto {
  const { names, prefix } = bindings;
  const rename = (name: string): string => (name === '' ? '' : (names.get(name) ?? `${prefix}${name}`));
  return copyOf(node, {
    name: `${prefix}${node.name || node.output?.[0] || node.opType}`,
    input: node.input?.map(rename),
    output: node.output?.map(rename),
    attribute: node.attribute?.map((each) => inGraphs(each, (graph) => renamedGraph(graph, bindings, rename))),
  });
}

function renamedGraph(graph: GraphProto, bindings: Bindings, rename: (name: string) => string): GraphProto {
  const named = <M extends { name?: string }>(list: readonly M[] | undefined): M[] | undefined =>
    list?.map((each) => copyOf(each, { name: rename(each.name ?? '') } as { [K in keyof M]?: M[K] | undefined }));
  return copyOf(graph, {
    node: graph.node?.map((node) => renamed(node, bindings)),
    initializer: named(graph.initializer),
    sparseInitializer: graph.sparseInitializer?.map((each) =>
      each.values === undefined
        ? each
        : copyOf(each, { values: copyOf(each.values, { name: rename(each.values.name ?? '') }) }),
    ),
    input: named<ValueInfoProto>(graph.input),
    output: named<ValueInfoProto>(graph.output),
    valueInfo: named<ValueInfoProto>(graph.valueInfo),
  });
}

export function inGraphs(attribute: AttributeProto, map: (graph: GraphProto) => GraphProto): AttributeProto {
  return copyOf(attribute, {
    ...(attribute.g !== undefined && { g: map(attribute.g) }),
    ...(attribute.graphs !== undefined && { graphs: attribute.graphs.map(map) }),
  });
}

/**
 * A node of `called` whose references to attributes of the function hold what `call` gives, else the function's default; an
 * attribute that has neither is left out, as the operator's own default asks for.
 */
export function bindAttributes(node: NodeProto, call: NodeProto, called: FunctionProto): NodeProto {
  if (!node.attribute) return node;
  const given = new Map([...(called.attributeProto ?? []), ...(call.attribute ?? [])].map((each) => [each.name, each]));
  const attribute = node.attribute.flatMap((each) => {
    const bound = each.refAttrName ? given.get(each.refAttrName) : each;
    if (bound === undefined) return [];
    const own = each.refAttrName ? copyOf(bound, { name: each.name }) : bound;
    return [inGraphs(own, (graph) => boundGraph(graph, call, called))];
  });
  return copyOf(node, { attribute });
}

const boundGraph = (graph: GraphProto, call: NodeProto, called: FunctionProto): GraphProto =>
  copyOf(graph, { node: graph.node?.map((node) => bindAttributes(node, call, called)) });
