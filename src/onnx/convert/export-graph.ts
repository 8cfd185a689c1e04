/** Graphs to messages: the parts of the IR, with what was left over at import put back around them. */
import { type Graph, isOp, type Node, type Value, valuesIn } from '../ir/graph.js';
import type { Tensor } from '../ir/tensor.js';
import type {
  GraphProto,
  NodeProto,
  SparseTensorProto,
  StringStringEntryProto,
  TensorProto,
  ValueInfoProto,
} from '../proto/messages.js';
import { copyOf } from '../proto/messages.js';
import { exportAttribute } from './export-attribute.js';
import type { TensorExporter } from './export-tensor.js';
import type { GraphExtras, ValueExtras } from './import-graph.js';
import { metadataEntries, restored, sameMap } from './leftovers.js';
import { sparseOrigins } from './origins.js';
import { sameType, typeProtoOf } from './value-type.js';

/** The message of a graph and of the graphs nested in it. */
export function exportGraph(graph: Graph, tensors: TensorExporter): GraphProto {
  const extras = graph.extras as Partial<GraphExtras>;
  const rest = extras.rest ?? {};
  const { initializer, sparseInitializer } = initializersOf(graph, tensors);
  return restored<GraphProto>(rest, {
    name: graph.name,
    node: graph.nodes.map((node) => exportNode(node, tensors)),
    initializer,
    sparseInitializer,
    input: interfaceOf(graph.inputs, extras.inputs ?? []),
    output: interfaceOf(graph.outputs, extras.outputs ?? []),
    valueInfo: valueInfoOf(graph, extras),
    metadataProps: metadataEntries(graph.metadata, rest.metadataProps),
  });
}

function exportNode(node: Node, tensors: TensorExporter): NodeProto {
  const rest = (node.extras.rest as NodeProto | undefined) ?? {};
  const messages = {
    tensor: (tensor: Tensor) => tensors.attribute(tensor, isOp(node, 'Constant')),
    graph: (graph: Graph) => exportGraph(graph, tensors),
  };
  return restored<NodeProto>(rest, {
    name: node.name,
    opType: node.op,
    domain: node.domain,
    input: node.inputs.map((value) => value?.name ?? ''),
    output: node.outputs.map((value) => value?.name ?? ''),
    attribute: [...node.attributes].map(([name, attribute]) => exportAttribute(name, attribute, messages)),
    metadataProps: metadataEntries(node.metadata, rest.metadataProps),
  });
}

interface Initializers {
  readonly initializer: TensorProto[];
  readonly sparseInitializer: SparseTensorProto[];
}

function initializersOf(graph: Graph, tensors: TensorExporter): Initializers {
  const found: Initializers = { initializer: [], sparseInitializer: [] };
  for (const value of graph.initializers) {
    if (value.initializer === undefined) continue;
    const sparse = sparseOrigins.get(value.initializer);
    if (sparse === undefined) found.initializer.push(tensors.initializer(value.initializer, value.name));
    else found.sparseInitializer.push(renamed(sparse, value.name));
  }
  return found;
}

function renamed(sparse: SparseTensorProto, name: string): SparseTensorProto {
  return sparse.values === undefined ? sparse : copyOf(sparse, { values: copyOf(sparse.values, { name }) });
}

/** Entries of inputs or outputs: the one that came at the same place, else one that came under the same name. */
function interfaceOf(values: readonly Value[], came: readonly ValueInfoProto[]): ValueInfoProto[] {
  return values.map((value, slot) => {
    const original = came[slot]?.name === value.name ? came[slot] : came.find((info) => info.name === value.name);
    return infoOf(value, original);
  });
}

/** The entries of value_info that came and still name a value, then those of new values whose type is known. */
function valueInfoOf(graph: Graph, extras: Partial<GraphExtras>): ValueInfoProto[] {
  const own = new Map<string, Value>();
  for (const value of valuesIn(graph)) own.set(value.name, value);
  const came = extras.valueInfo ?? [];
  const kept = came.flatMap((info) => {
    const value = own.get(info.name ?? '');
    if (value !== undefined) return [infoOf(value, info)];
    return extras.dangling?.has(info.name ?? '') ? [info] : [];
  });
  const listed = new Set(came.map((info) => info.name));
  const outputs = new Set(graph.outputs);
  const added = graph.nodes
    .flatMap((node) => node.outputs)
    .filter((value) => {
      return value?.type?.dtype !== undefined && !listed.has(value.name) && !outputs.has(value);
    });
  return [...kept, ...added.flatMap((value) => (value === undefined ? [] : [infoOf(value, undefined)]))];
}

/**
 * An entry for a value. What came stays to the letter unless the value was given another type or metadata since; a new value
 * in the place of an old output takes over the declared dimensions, unless its element type differs.
 */
function infoOf(value: Value, original: ValueInfoProto | undefined): ValueInfoProto {
  if (original === undefined) {
    return restored<ValueInfoProto>(
      { name: value.name },
      { type: typeProtoOf(value.type), metadataProps: entriesOf(value) },
    );
  }
  const changes: { type?: ValueInfoProto['type']; metadataProps?: StringStringEntryProto[] } = {};
  if (hasNewType(value, original)) changes.type = typeProtoOf(value.type);
  if (hasNewMetadata(value)) changes.metadataProps = entriesOf(value);
  return copyOf(original, changes);
}

function hasNewType(value: Value, original: ValueInfoProto): boolean {
  if (value.type === undefined) return false;
  if (isImported(value)) return !sameType(value.type, value.extras.type);
  const declared = original.type?.tensorType?.elemType;
  return declared !== undefined && declared !== typeProtoOf(value.type)?.tensorType?.elemType;
}

function hasNewMetadata(value: Value): boolean {
  return isImported(value) ? !sameMap(value.metadata, value.extras.metadata) : value.metadata.size > 0;
}

function isImported(value: Value): value is Value & { readonly extras: ValueExtras & Value['extras'] } {
  return 'metadata' in value.extras;
}

function entriesOf(value: Value): StringStringEntryProto[] {
  return metadataEntries(value.metadata, undefined) ?? [];
}
