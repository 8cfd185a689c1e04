/**
 * The messages of a model as TypeScript sees them, and the protobufjs types that read and write them.
 * Fields are named in camelCase; an absent field is undefined or, for repeated ones, may be an empty list.
 */
import Long from 'long';
import protobuf from 'protobufjs';
import type { Payload } from '../../files/payload.js';
import { ONNX_PROTO } from './schema.js';

/** Fields that the schema does not know, kept as the bytes they came in (key and value). */
interface Message {
  $unknowns?: Uint8Array[];
}

export interface StringStringEntryProto extends Message {
  key?: string;
  value?: string;
}

export interface OperatorSetIdProto extends Message {
  domain?: string;
  version?: Long;
}

export interface TensorProto extends Message {
  dims?: Long[];
  dataType?: number;
  segment?: Message;
  floatData?: number[];
  int32Data?: number[];
  stringData?: Uint8Array[];
  int64Data?: Long[];
  name?: string;
  docString?: string;
  rawData?: Uint8Array;
  externalData?: StringStringEntryProto[];
  dataLocation?: number;
  doubleData?: number[];
  uint64Data?: Long[];
  metadataProps?: StringStringEntryProto[];
  /** Not a field of ONNX: where large `raw_data` lies, instead of `rawData`. Never both. */
  payload?: Payload;
}

export interface SparseTensorProto extends Message {
  values?: TensorProto;
  indices?: TensorProto;
  dims?: Long[];
}

export interface DimensionProto extends Message {
  dimValue?: Long;
  dimParam?: string;
  denotation?: string;
}

export interface TensorShapeProto extends Message {
  dim?: DimensionProto[];
}

export interface TensorTypeProto extends Message {
  elemType?: number;
  shape?: TensorShapeProto;
}

/** Only plain tensors are spelled out; sequences, maps and the rest are carried along. */
export interface TypeProto extends Message {
  tensorType?: TensorTypeProto;
  denotation?: string;
}

export interface ValueInfoProto extends Message {
  name?: string;
  type?: TypeProto;
  docString?: string;
  metadataProps?: StringStringEntryProto[];
}

export interface AttributeProto extends Message {
  name?: string;
  refAttrName?: string;
  docString?: string;
  type?: number;
  f?: number;
  i?: Long;
  s?: Uint8Array;
  t?: TensorProto;
  g?: GraphProto;
  sparseTensor?: SparseTensorProto;
  tp?: TypeProto;
  floats?: number[];
  ints?: Long[];
  strings?: Uint8Array[];
  tensors?: TensorProto[];
  graphs?: GraphProto[];
  sparseTensors?: SparseTensorProto[];
  typeProtos?: TypeProto[];
}

export interface NodeProto extends Message {
  input?: string[];
  output?: string[];
  name?: string;
  opType?: string;
  domain?: string;
  overload?: string;
  attribute?: AttributeProto[];
  docString?: string;
  metadataProps?: StringStringEntryProto[];
  deviceConfigurations?: Message[];
}

export interface GraphProto extends Message {
  node?: NodeProto[];
  name?: string;
  initializer?: TensorProto[];
  sparseInitializer?: SparseTensorProto[];
  docString?: string;
  input?: ValueInfoProto[];
  output?: ValueInfoProto[];
  valueInfo?: ValueInfoProto[];
  quantizationAnnotation?: Message[];
  metadataProps?: StringStringEntryProto[];
}

export interface ModelProto extends Message {
  irVersion?: Long;
  opsetImport?: OperatorSetIdProto[];
  producerName?: string;
  producerVersion?: string;
  domain?: string;
  modelVersion?: Long;
  docString?: string;
  graph?: GraphProto;
  metadataProps?: StringStringEntryProto[];
  trainingInfo?: Message[];
  functions?: FunctionProto[];
  configuration?: Message[];
}

/** A function of the model's own, which nodes call by its domain and name. */
export interface FunctionProto extends Message {
  name?: string;
  domain?: string;
  overload?: string;
  input?: string[];
  output?: string[];
  /** Attributes without a default. */
  attribute?: string[];
  /** Attributes with their defaults. */
  attributeProto?: AttributeProto[];
  node?: NodeProto[];
  opsetImport?: OperatorSetIdProto[];
}

/** `AttributeProto.AttributeType`. */
export const ATTRIBUTE_TYPE = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
} as const;

/** `TensorProto.DataLocation.EXTERNAL`. */
export const EXTERNAL = 1;

const root = protobuf.parse(ONNX_PROTO).root;
const onnx = root.lookup('onnx');
if (!(onnx instanceof protobuf.Namespace)) throw new Error('the embedded schema has no package onnx');
// Strings that are not UTF-8 are refused rather than changed: proto2 would let them through with replacement characters.
for (const type of onnx.nestedArray) type.options = { features: { utf8_validation: 'VERIFY' } };
root.resolveAll();
forgetDefaults(onnx);

/** Absent fields read as undefined: protobufjs would show default values, which cannot be told from values in the file. */
function forgetDefaults(space: protobuf.NamespaceBase): void {
  for (const inner of space.nestedArray) if (inner instanceof protobuf.Namespace) forgetDefaults(inner);
  if (!(space instanceof protobuf.Type)) return;
  const prototype = space.ctor.prototype as unknown as Record<string, unknown>;
  for (const field of space.fieldsArray) delete prototype[field.name];
}

export const MODEL: protobuf.Type = root.lookupType('onnx.ModelProto');
export const ATTRIBUTE: protobuf.Type = root.lookupType('onnx.AttributeProto');
export const SPARSE: protobuf.Type = root.lookupType('onnx.SparseTensorProto');
export const TENSOR: protobuf.Type = root.lookupType('onnx.TensorProto');

/** Decodes bytes that are all of one message; unknown fields are kept at every level. Throws protobufjs's errors. */
export function decode(type: protobuf.Type, bytes: Uint8Array): unknown {
  const reader = protobuf.Reader.create(bytes);
  reader.discardUnknown = false;
  return type.decode(reader);
}

/** Encodes a message; `payload`s are not part of the encoding. */
export function encode(type: protobuf.Type, message: object): Uint8Array {
  return type.encode(message).finish();
}

/** A copy with some fields replaced (undefined removes one); unknown fields come along although they are not enumerable. */
export function copyOf<M extends object>(message: M, changes: { [K in keyof M]?: M[K] | undefined }): M {
  const copy: Record<string, unknown> = { ...message, ...changes };
  for (const key of Object.keys(changes)) if (copy[key] === undefined) delete copy[key];
  const unknowns = (message as Message).$unknowns;
  if (unknowns !== undefined) copy.$unknowns = unknowns;
  return copy as M;
}

/** A whole number as the messages hold it. */
export function long(value: number | bigint): Long {
  return typeof value === 'bigint' ? Long.fromBigInt(value) : Long.fromNumber(value);
}
