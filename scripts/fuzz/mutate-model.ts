/** Mutations of a model's messages: what exporters, converters and people who edit graphs get wrong. */
import type { GraphProto, ModelProto, NodeProto, TensorProto } from '../../src/onnx/proto/messages.js';
import { decode, encode, long, MODEL } from '../../src/onnx/proto/messages.js';
import type { Random } from '../../src/random.js';
import { type Changed, joined, pick } from './mutate-bytes.js';

interface Parts {
  readonly model: ModelProto;
  readonly graph: GraphProto;
  readonly tensor: TensorProto;
  readonly node: NodeProto;
  readonly random: Random;
}

const NAMES: readonly string[] = [
  '',
  '\0',
  '../../../etc/passwd',
  '/etc/passwd',
  'a\0b',
  'x'.repeat(100_000),
  '__proto__',
  'constructor',
  '..',
  '.',
  'model.onnx',
  'model.onnx.data/',
  'C:\\x',
];
const NUMBERS: readonly number[] = [-1, 0, 1, 3, 7, 2 ** 31, 2 ** 40, -(2 ** 31), 2 ** 53];
const OFFSETS: readonly string[] = ['-1', '0', '1', '9223372036854775807', '1e3', '0x10', ' 4', '', 'NaN', '1.5'];
const OPERATORS: readonly string[] = [
  '',
  'MatMul',
  'Loop',
  'If',
  'Constant',
  'Gemm',
  'Transpose',
  'Identity',
  'Nothing',
];
const DOMAINS: readonly string[] = ['', 'com.microsoft', 'ai.onnx.ml', 'custom', '\0'];

type Rule = (parts: Parts) => void;

const RULES: Readonly<Record<string, Rule>> = {
  dimension: ({ tensor, random }) => {
    const dims = tensor.dims ?? [];
    if (dims.length > 0) dims[random.integer(dims.length)] = long(pick(NUMBERS, random));
  },
  rank: ({ tensor, random }) => {
    tensor.dims = Array.from({ length: 3 + random.integer(200) }, () => long(pick([1, 2, 2 ** 20], random)));
  },
  offset: ({ tensor, random }) => external(tensor, 'offset', pick(OFFSETS, random)),
  length: ({ tensor, random }) => external(tensor, 'length', pick(OFFSETS, random)),
  location: ({ tensor, random }) => external(tensor, 'location', pick(NAMES, random)),
  place: ({ tensor, random }) => {
    tensor.dataLocation = pick([0, 1, 2, 77, -1], random);
  },
  dtype: ({ tensor, random }) => {
    tensor.dataType = pick([0, 1, 2, 7, 9, 10, 16, 17, 20, 22, 99, -5], random);
  },
  overlap: ({ graph, tensor, random }) => {
    tensor.externalData = pick(graph.initializer ?? [tensor], random).externalData ?? [];
  },
  raw: ({ tensor, random }) => {
    delete tensor.externalData;
    tensor.dataLocation = 0;
    tensor.rawData = new Uint8Array(pick([0, 1, 1023, 4096], random)).fill(random.integer(256));
  },
  'tensor name': ({ graph, tensor, random }) => {
    tensor.name = nameIn(graph, random);
  },
  input: ({ graph, node, random }) => {
    const inputs = node.input ?? [];
    if (inputs.length > 0) inputs[random.integer(inputs.length)] = nameIn(graph, random);
  },
  output: ({ graph, node, random }) => {
    node.output = [nameIn(graph, random), ...(node.output ?? []).slice(1)];
  },
  operator: ({ node, random }) => {
    node.opType = pick(OPERATORS, random);
  },
  domain: ({ node, random }) => {
    node.domain = pick(DOMAINS, random);
  },
  attribute: ({ node, random }) => {
    const attributes = node.attribute ?? [];
    if (attributes.length === 0) return;
    const attribute = pick(attributes, random);
    if (random.uniform() < 0.5) attribute.type = pick([0, 1, 2, 4, 5, 6, 7, 99], random);
    attribute.i = long(pick(NUMBERS, random));
    if (random.uniform() < 0.3) attribute.ints = [long(pick(NUMBERS, random)), long(pick(NUMBERS, random))];
  },
  'drop node': ({ graph, random }) => {
    graph.node?.splice(random.integer(graph.node.length), 1);
  },
  'repeat node': ({ graph, node, random }) => {
    graph.node?.push(...Array.from({ length: pick([1, 3, 5000], random) }, () => node));
  },
  'swap nodes': ({ graph, node, random }) => {
    const nodes = graph.node ?? [];
    const [from, to] = [nodes.indexOf(node), random.integer(nodes.length)];
    [nodes[from], nodes[to]] = [nodes[to] as NodeProto, node];
  },
  opset: ({ model, random }) => {
    const version = long(pick([...NUMBERS, 9, 10, 13, 17, 99], random));
    model.opsetImport = pick([[], [{ domain: '', version }], [{ domain: 'x', version: long(1) }]], random);
  },
  'ir version': ({ model, random }) => {
    model.irVersion = long(pick([-1, 0, 1, 3, 8, 11, 12, 13, 99, 2 ** 40], random));
  },
  shape: ({ graph, random }) => {
    const values = [...(graph.input ?? []), ...(graph.output ?? []), ...(graph.valueInfo ?? [])];
    const dims = pick(values, random).type?.tensorType?.shape?.dim ?? [];
    if (dims.length > 0) dims[random.integer(dims.length)] = { dimValue: long(pick(NUMBERS, random)) };
  },
  'drop input': ({ graph, random }) => {
    graph.input?.splice(random.integer(graph.input.length), 1);
  },
  'drop output': ({ graph, random }) => {
    graph.output?.splice(random.integer(graph.output.length), 1);
  },
};

/** One or two rules on a model that is decoded and encoded again. */
export function mutateModel(bytes: Uint8Array, random: Random): Changed {
  if (random.uniform() < 0.04) {
    const depth = pick(DEPTHS, random);
    return { note: `model:deep ${depth}`, bytes: joined(bytes, deepGraph(depth)) };
  }
  const model = decode(MODEL, bytes) as ModelProto;
  const graph = model.graph as GraphProto;
  const notes: string[] = [];
  for (let left = 1 + random.integer(2); left > 0; left--) {
    if (!graph.initializer?.length || !graph.node?.length || !graph.input?.length || !graph.output?.length) break;
    const [name, rule] = pick(Object.entries(RULES), random);
    rule({ model, graph, tensor: pick(graph.initializer, random), node: pick(graph.node, random), random });
    notes.push(name);
  }
  return { note: `model:${notes.join(', ')}`, bytes: encode(MODEL, model) };
}

function nameIn(graph: GraphProto, random: Random): string {
  const taken = [
    pick(graph.initializer ?? [], random).name ?? '',
    pick(graph.node ?? [], random).output?.[0] ?? '',
    pick(graph.input ?? [], random).name ?? '',
  ];
  return pick([...taken, ...taken, pick(NAMES, random)], random);
}

function external(tensor: TensorProto, key: string, value: string): void {
  const entry = tensor.externalData?.find((each) => each.key === key);
  if (entry !== undefined) entry.value = value;
  else tensor.externalData = [...(tensor.externalData ?? []), { key, value }];
}

const DEPTHS = [10, 60, 99, 200, 5000];

/** A graph field whose nodes hold graphs in graphs: deeper than writers of messages go, so it is written as bytes. */
function deepGraph(depth: number): Uint8Array {
  let graph: Uint8Array = field(2, new TextEncoder().encode('inner'));
  for (let left = depth; left > 0; left--) {
    const attribute = joined(field(1, new TextEncoder().encode('then_branch')), field(6, graph), [0xa0, 0x01, 5]);
    graph = field(1, joined(field(4, new TextEncoder().encode('If')), field(5, attribute)));
  }
  return field(7, graph);
}

/** A field of bytes: key, length, contents. */
function field(number: number, contents: Uint8Array): Uint8Array {
  const length: number[] = [];
  for (let rest = contents.length; ; rest >>>= 7) {
    length.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) return joined([(number << 3) | 2], length, contents);
  }
}
