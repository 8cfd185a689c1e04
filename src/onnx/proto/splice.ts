/**
 * Exchanges the `raw_data` of every tensor in an encoded model without decoding it. Reading uses it to cut large weights out
 * of a file before protobuf sees it, writing uses it to put them in, streamed. Both keep every other byte as it is.
 *
 * Between the two, a tensor's `raw_data` holds a *token*: 00 and the bytes themselves, or 01 and the number of a payload.
 * All of them are tokens, so no content of a file can pass for one.
 */
import type protobuf from 'protobufjs';
import { bytesPayload, lengthOf, type Payload, rangeOf } from '../../files/payload.js';
import { TENSOR } from './messages.js';
import { Cursor, DEPTH_LIMIT, varintBytes, WIRE } from './wire.js';

/** Says what to write for a `raw_data` field of these bytes. */
export type Exchange = (bytes: Payload) => readonly Payload[];

/** `TensorProto.raw_data`. */
const RAW_DATA = 9;

interface Walk {
  readonly cursor: Cursor;
  readonly exchange: Exchange;
}

/** The encoded message with each `raw_data` exchanged, as pieces of the source and new bytes between them. */
export function splice(source: Payload, type: protobuf.Type, exchange: Exchange, at: string): readonly Payload[] {
  return spliceMessage({ cursor: new Cursor(source, at), exchange }, type, source.length, 0) ?? [source];
}

/** Undefined when nothing in the message was exchanged, so that it is copied together with what surrounds it. */
function spliceMessage(walk: Walk, type: protobuf.Type, end: number, depth: number): readonly Payload[] | undefined {
  const { cursor } = walk;
  if (depth > DEPTH_LIMIT) cursor.tooDeep();
  const children = childrenOf(type);
  let pieces: Payload[] | undefined;
  let copied = cursor.position;
  while (cursor.position < end) {
    const key = cursor.key(end);
    const afterKey = cursor.position;
    const child = key.wire === WIRE.bytes ? children.get(key.field) : undefined;
    if (child === undefined) {
      cursor.skip(key, end);
      continue;
    }
    const inner = spliceField(walk, child, cursor.size(end), depth);
    if (inner === undefined) continue;
    pieces ??= [];
    pieces.push(rangeOf(cursor.source, copied, afterKey - copied), bytesPayload(varintBytes(lengthOf(inner))));
    for (const piece of inner) pieces.push(piece);
    copied = cursor.position;
  }
  pieces?.push(rangeOf(cursor.source, copied, end - copied));
  return pieces;
}

function spliceField(walk: Walk, child: Child, size: number, depth: number): readonly Payload[] | undefined {
  const start = walk.cursor.position;
  if (typeof child === 'object') return size === 0 ? undefined : spliceMessage(walk, child, start + size, depth + 1);
  walk.cursor.position += size;
  if (child === 'raw') return walk.exchange(rangeOf(walk.cursor.source, start, size));
  walk.cursor.spend(size * child);
  return undefined;
}

/** A message to go into, `raw_data` to exchange, or a packed list with the units of memory that each of its bytes can take. */
type Child = protobuf.Type | 'raw' | number;

const known: Map<protobuf.Type, ReadonlyMap<number, Child>> = new Map();

/** The fields of a message type that matter here, by number. */
function childrenOf(type: protobuf.Type): ReadonlyMap<number, Child> {
  const before = known.get(type);
  if (before !== undefined) return before;
  const children = new Map<number, Child>(messageFields(type).map((field) => [field.id, field.type]));
  for (const field of type.fieldsArray) {
    const units = field.repeated ? UNITS_PER_PACKED_BYTE[field.type] : undefined;
    if (units !== undefined) children.set(field.id, units);
  }
  if (type === TENSOR) children.set(RAW_DATA, 'raw');
  known.set(type, children);
  return children;
}

/** Numbers of 64 bits become objects, the others elements of an array. */
const UNITS_PER_PACKED_BYTE: Readonly<Record<string, number>> = {
  int64: 1,
  uint64: 1,
  int32: 1 / 4,
  float: 1 / 16,
  double: 1 / 16,
};

/** A field that holds tensors, directly or further down. */
export interface TensorField {
  readonly id: number;
  readonly name: string;
  readonly repeated: boolean;
  readonly type: protobuf.Type;
}

/** The fields of a message type in which tensors can be. */
export function tensorFields(type: protobuf.Type): readonly TensorField[] {
  if (type === TENSOR) return [];
  return messageFields(type).filter((field) => reachesTensor(field.type, new Set()));
}

function reachesTensor(type: protobuf.Type, seen: Set<protobuf.Type>): boolean {
  if (type === TENSOR) return true;
  if (seen.has(type)) return false;
  seen.add(type);
  return messageFields(type).some((field) => reachesTensor(field.type, seen));
}

function messageFields(type: protobuf.Type): TensorField[] {
  return type.fieldsArray.flatMap((field) => {
    const inner = field.resolve().resolvedType;
    if (inner === null || !('fieldsArray' in inner)) return [];
    return [{ id: field.id, name: field.name, repeated: field.repeated, type: inner }];
  });
}

/** The token of bytes that stay in the message. */
export function inlineToken(bytes: Payload): readonly Payload[] {
  return [bytesPayload(Uint8Array.of(0)), bytes];
}

/** The token of payload number `index`. */
export function payloadToken(index: number): Uint8Array {
  const token = new Uint8Array(5);
  token[0] = 1;
  new DataView(token.buffer).setUint32(1, index, true);
  return token;
}

/** What a token stands for. */
export function readToken(token: Uint8Array): { readonly bytes: Uint8Array } | { readonly index: number } {
  if (token[0] === 0) return { bytes: token.subarray(1) };
  return { index: new DataView(token.buffer, token.byteOffset, token.byteLength).getUint32(1, true) };
}
