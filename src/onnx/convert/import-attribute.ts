/** Attribute messages to attributes. */
import type { Attribute } from '../ir/attribute.js';
import type { Graph } from '../ir/graph.js';
import type { Tensor } from '../ir/tensor.js';
import {
  ATTRIBUTE,
  ATTRIBUTE_TYPE,
  type AttributeProto,
  type GraphProto,
  type TensorProto,
} from '../proto/messages.js';
import { mapTensors } from '../proto/tensors.js';
import { attributeOrigins } from './origins.js';

/** What an attribute may contain that needs the rest of the import. */
export interface AttributeParts {
  tensor(message: TensorProto): Tensor;
  graph(message: GraphProto): Graph;
  localised(message: TensorProto): TensorProto;
}

/** The attribute of a message. What the IR has no kind for, or would read differently, is opaque. */
export function importAttribute(message: AttributeProto, parts: AttributeParts): Attribute {
  const attribute = interpreted(message, parts) ?? {
    kind: 'opaque',
    value: mapTensors(message, ATTRIBUTE, (tensor) => parts.localised(tensor)),
  };
  if (attribute.kind !== 'opaque') attributeOrigins.set(attribute, withoutContents(message));
  return attribute;
}

function interpreted(message: AttributeProto, parts: AttributeParts): Attribute | undefined {
  if (message.refAttrName) return undefined;
  const type = message.type ?? typeByContents(message);
  switch (type) {
    case ATTRIBUTE_TYPE.float:
      return { kind: 'float', value: message.f ?? 0 };
    case ATTRIBUTE_TYPE.int:
      return { kind: 'int', value: message.i?.toBigInt() ?? 0n };
    case ATTRIBUTE_TYPE.string:
      return stringOf(message.s ?? new Uint8Array(0));
    case ATTRIBUTE_TYPE.tensor:
      return message.t ? { kind: 'tensor', value: parts.tensor(message.t) } : undefined;
    case ATTRIBUTE_TYPE.graph:
      return message.g ? { kind: 'graph', value: parts.graph(message.g) } : undefined;
    default:
      return listOf(message, type, parts);
  }
}

function listOf(message: AttributeProto, type: number | undefined, parts: AttributeParts): Attribute | undefined {
  switch (type) {
    case ATTRIBUTE_TYPE.floats:
      return { kind: 'floats', value: message.floats ?? [] };
    case ATTRIBUTE_TYPE.ints:
      return { kind: 'ints', value: (message.ints ?? []).map((value) => value.toBigInt()) };
    case ATTRIBUTE_TYPE.strings:
      return stringsOf(message.strings ?? []);
    case ATTRIBUTE_TYPE.tensors:
      return { kind: 'tensors', value: (message.tensors ?? []).map((tensor) => parts.tensor(tensor)) };
    case ATTRIBUTE_TYPE.graphs:
      return { kind: 'graphs', value: (message.graphs ?? []).map((graph) => parts.graph(graph)) };
    default:
      return undefined;
  }
}

/** Files of IR version 1 have no type field; the field that is there tells. */
function typeByContents(message: AttributeProto): number | undefined {
  const singles = [
    ['f', ATTRIBUTE_TYPE.float],
    ['i', ATTRIBUTE_TYPE.int],
    ['s', ATTRIBUTE_TYPE.string],
    ['t', ATTRIBUTE_TYPE.tensor],
    ['g', ATTRIBUTE_TYPE.graph],
  ] as const;
  const single = singles.find(([field]) => message[field] !== undefined);
  const lists = ['floats', 'ints', 'strings', 'tensors', 'graphs'] as const;
  const list = lists.find((field) => (message[field]?.length ?? 0) > 0);
  return single?.[1] ?? (list === undefined ? undefined : ATTRIBUTE_TYPE[list]);
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function textOf(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function stringOf(bytes: Uint8Array): Attribute | undefined {
  const value = textOf(bytes);
  return value === undefined ? undefined : { kind: 'string', value };
}

function stringsOf(list: readonly Uint8Array[]): Attribute | undefined {
  const value = list.map(textOf).filter((text) => text !== undefined);
  return value.length === list.length ? { kind: 'strings', value } : undefined;
}

/** The message without the parts that the attribute itself holds, which may be large. */
function withoutContents(message: AttributeProto): AttributeProto {
  const { t: _t, g: _g, tensors: _tensors, graphs: _graphs, ...rest } = message;
  return message.$unknowns === undefined ? rest : { ...rest, $unknowns: message.$unknowns };
}
