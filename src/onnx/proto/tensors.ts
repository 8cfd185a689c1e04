/** Walking every tensor message below a message, wherever the schema allows one. */
import type protobuf from 'protobufjs';
import { copyOf, TENSOR, type TensorProto } from './messages.js';
import { type TensorField, tensorFields } from './splice.js';

type Fields = Record<string, unknown>;

const known: Map<protobuf.Type, readonly TensorField[]> = new Map();

function fieldsOf(type: protobuf.Type): readonly TensorField[] {
  const fields = known.get(type) ?? tensorFields(type);
  known.set(type, fields);
  return fields;
}

/** Calls `visit` for every tensor message in `message`, depth first, in field order. */
export function visitTensors(message: object, type: protobuf.Type, visit: (tensor: TensorProto) => void): void {
  if (type === TENSOR) visit(message as TensorProto);
  for (const field of fieldsOf(type)) {
    for (const child of childrenOf(message, field)) visitTensors(child, field.type, visit);
  }
}

/** A copy of `message` with every tensor exchanged; what holds no tensor is shared with the original. */
export function mapTensors<M extends object>(
  message: M,
  type: protobuf.Type,
  map: (tensor: TensorProto) => TensorProto,
): M {
  if (type === TENSOR) return map(message as TensorProto) as M;
  const changes: Fields = {};
  for (const field of fieldsOf(type)) {
    const mapped = childrenOf(message, field).map((child) => mapTensors(child, field.type, map));
    if (mapped.length > 0) changes[field.name] = field.repeated ? mapped : mapped[0];
  }
  return Object.keys(changes).length === 0 ? message : (copyOf(message as Fields, changes) as M);
}

function childrenOf(message: object, field: TensorField): readonly object[] {
  const value = (message as Fields)[field.name];
  if (value === undefined || value === null) return [];
  return field.repeated ? (value as object[]) : [value as object];
}
