/** Attributes to messages. */
import Long from 'long';
import type { Attribute } from '../ir/attribute.js';
import type { Graph } from '../ir/graph.js';
import type { Tensor } from '../ir/tensor.js';
import { ATTRIBUTE_TYPE, type AttributeProto, copyOf, type GraphProto, type TensorProto } from '../proto/messages.js';
import { attributeOrigins } from './origins.js';

/** What an attribute may contain that needs the rest of the export. */
export interface AttributeMessages {
  tensor(tensor: Tensor): TensorProto;
  graph(graph: Graph): GraphProto;
}

const utf8 = new TextEncoder();

/** The message of an attribute. One that was imported keeps its documentation and everything else around its value. */
export function exportAttribute(name: string, attribute: Attribute, messages: AttributeMessages): AttributeProto {
  if (attribute.kind === 'opaque') return copyOf(attribute.value as AttributeProto, { name });
  const origin = attributeOrigins.get(attribute) ?? { type: ATTRIBUTE_TYPE[attribute.kind] };
  return copyOf(copyOf(origin, { name }), valueFields(attribute, messages));
}

type Interpreted = Exclude<Attribute, { kind: 'opaque' }>;

function valueFields(attribute: Interpreted, messages: AttributeMessages): Partial<AttributeProto> {
  switch (attribute.kind) {
    case 'int':
      return { i: Long.fromBigInt(attribute.value) };
    case 'float':
      return { f: attribute.value };
    case 'string':
      return { s: utf8.encode(attribute.value) };
    case 'tensor':
      return { t: messages.tensor(attribute.value) };
    case 'graph':
      return { g: messages.graph(attribute.value) };
    case 'ints':
      return { ints: attribute.value.map((value) => Long.fromBigInt(value)) };
    case 'floats':
      return { floats: [...attribute.value] };
    case 'strings':
      return { strings: attribute.value.map((value) => utf8.encode(value)) };
    case 'tensors':
      return { tensors: attribute.value.map((tensor) => messages.tensor(tensor)) };
    case 'graphs':
      return { graphs: attribute.value.map((graph) => messages.graph(graph)) };
  }
}
