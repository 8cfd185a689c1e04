/** Broken models, each an edit of one small valid export. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ErrorCode } from '../../src/diagnostics.js';
import { bytesPayload } from '../../src/files/payload.js';
import { decodeModel } from '../../src/onnx/proto/decode.js';
import { encodeModel } from '../../src/onnx/proto/encode.js';
import { EXTERNAL, long, type ModelProto, type NodeProto, type TensorProto } from '../../src/onnx/proto/messages.js';
import { fixture } from './paths.js';

export interface HostileModel {
  readonly name: string;
  readonly code: ErrorCode;
  /** Writes the model and what belongs to it; returns the model's path. */
  make(folder: string): string;
}

/** A decoder of two layers with its weights inside; its projections are named by role. */
const original = fixture('models/mistral-656k/model.onnx');
const whole = (): Uint8Array => new Uint8Array(readFileSync(original));

/** A case that writes some bytes in place of a model. */
const bytes = (name: string, code: ErrorCode, make: () => Uint8Array): HostileModel => ({
  name,
  code,
  make(folder) {
    const path = join(folder, 'model.onnx');
    writeFileSync(path, make());
    return path;
  },
});

/** A case that changes the message. */
const edited = (name: string, code: ErrorCode, edit: (model: ModelProto, folder: string) => void): HostileModel => ({
  name,
  code,
  make(folder) {
    const model = decodeModel(bytesPayload(whole()), original);
    edit(model, folder);
    const path = join(folder, 'model.onnx');
    writeFileSync(path, encodeModel(model));
    return path;
  },
});

/** A case whose first two gate weights lie in external data: `entries` belong to the first, `data` is the file `w.data`. */
const external = (
  name: string,
  code: ErrorCode,
  entries: Readonly<Record<string, string>>,
  prepare: (folder: string, length: number) => void = (folder, length) => writeData(folder, 2 * length),
): HostileModel =>
  edited(name, code, (model, folder) => {
    const [first, second] = [weightOf(model, 'layers.0/mlp/gate_proj'), weightOf(model, 'layers.1/mlp/gate_proj')];
    const length = 4 * 128 * 384;
    moveOut(first, { location: 'w.data', offset: '0', length: String(length), ...entries });
    moveOut(second, { location: 'w.data', offset: String(length), length: String(length) });
    prepare(folder, length);
  });

function moveOut(tensor: TensorProto, entries: Readonly<Record<string, string>>): void {
  delete tensor.payload;
  delete tensor.rawData;
  tensor.dataLocation = EXTERNAL;
  tensor.externalData = Object.entries(entries).map(([key, value]) => ({ key, value }));
}

const writeData = (folder: string, length: number, name = 'w.data'): void =>
  writeFileSync(join(folder, name), new Uint8Array(length));

function nodeOf(model: ModelProto, part: string): NodeProto {
  const node = model.graph?.node?.find(({ name }) => name?.includes(part));
  if (node === undefined) throw new Error(`no node ${part}`);
  return node;
}

function weightOf(model: ModelProto, part: string): TensorProto {
  const name = nodeOf(model, part).input?.[1];
  const tensor = model.graph?.initializer?.find((each) => each.name === name);
  if (tensor === undefined) throw new Error(`no weight ${name}`);
  return tensor;
}

/** Overwrites one element of a float32 weight. */
function spoil(model: ModelProto, value: number): void {
  const tensor = weightOf(model, 'layers.1/mlp/down_proj');
  const payload = tensor.payload;
  if (payload === undefined) throw new Error('the weight has no bytes');
  const raw = Uint8Array.from(payload.read(0, payload.length));
  new DataView(raw.buffer).setFloat32(4 * 1234, value, true);
  delete tensor.payload;
  tensor.rawData = raw;
}

/** Turns a projection [K, N] into 4-bit MatMulNBits. */
function quantize(model: ModelProto, part: string): void {
  const [node, weight] = [nodeOf(model, part), weightOf(model, part)];
  const [k = 0, n = 0] = (weight.dims ?? []).map(Number);
  const tensor = (name: string, dataType: number, dims: number[], size: number): TensorProto => {
    return { name, dataType, dims: dims.map(long), rawData: new Uint8Array(dims.reduce((a, b) => a * b) * size) };
  };
  const [codes, scales] = [`${weight.name}_codes`, `${weight.name}_scales`];
  model.graph?.initializer?.push(tensor(codes, 2, [n, k / 32, 16], 1), tensor(scales, 1, [n * (k / 32)], 4));
  const attributes = { K: k, N: n, bits: 4, block_size: 32 };
  node.opType = 'MatMulNBits';
  node.domain = 'com.microsoft';
  node.input = [node.input?.[0] ?? '', codes, scales];
  node.attribute = Object.entries(attributes).map(([name, value]) => ({ name, i: long(value), type: 2 }));
}

/** A field of protobuf wire type 2. */
function field(number: number, content: Uint8Array): Uint8Array {
  const head = [(number << 3) | 2];
  for (let rest = content.length; ; rest >>>= 7) {
    head.push(rest > 127 ? (rest & 127) | 128 : rest);
    if (rest <= 127) break;
  }
  return Buffer.concat([Uint8Array.from(head), content]);
}

/** Graphs in attributes of nodes of graphs. */
function nested(depth: number): Uint8Array {
  let graph: Uint8Array = new Uint8Array(0);
  for (let level = 0; level < depth; level++) graph = field(1, field(5, field(6, graph)));
  return Buffer.concat([Uint8Array.of(8, 8), field(7, graph)]);
}

export const HOSTILE_MODELS: readonly HostileModel[] = [
  { name: 'no file', code: 'file-missing', make: (folder) => join(folder, 'model.onnx') },
  {
    name: 'a folder instead of a file',
    code: 'no-graph',
    make(folder) {
      mkdirSync(join(folder, 'model.onnx'));
      return join(folder, 'model.onnx');
    },
  },
  bytes('an empty file', 'not-onnx', () => new Uint8Array(0)),
  bytes('garbage', 'not-onnx', () => Uint8Array.from({ length: 5000 }, (_, at) => (at * 197 + 91) & 255)),
  bytes('a JSON file', 'not-onnx', () => new TextEncoder().encode('{"model": 1}')),
  bytes('the first half of a model', 'truncated', () => whole().subarray(0, 1_300_000)),
  bytes('a model without its last kilobyte', 'truncated', () => whole().slice(0, -1000)),
  bytes('a declared length of 2^62 bytes', 'truncated', () =>
    Uint8Array.of(8, 8, (7 << 3) | 2, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40),
  ),
  bytes('graphs nested 3000 deep', 'too-deep', () => nested(3000)),
  external('external data missing', 'external-missing', {}, () => {}),
  external('external data short', 'external-short', {}, (folder, length) => writeData(folder, 2 * length - 1)),
  external('external data in the folder above', 'external-path', { location: '../w.data' }, (folder, length) => {
    writeData(folder, 2 * length);
    writeData(join(folder, '..'), 2 * length);
  }),
  external('external data at an absolute path', 'external-path', { location: '/etc/hostname' }),
  external('external data at a drive letter', 'external-path', { location: 'C:\\w.data' }),
  external('external data behind a link out of the folder', 'external-path', { location: 'link' }, (folder, length) => {
    writeData(folder, 2 * length);
    writeData(join(folder, '..'), 2 * length, 'outside');
    symlinkSync(join(folder, '..', 'outside'), join(folder, 'link'));
  }),
  external('external data without a location', 'external-path', { location: '' }),
  external('overlapping external data', 'external-overlap', { offset: '1000' }),
  external('a negative offset', 'external-range', { offset: '-8' }),
  external('an offset of 2^63', 'external-range', { offset: '9223372036854775808' }),
  external('an offset and length that overflow', 'external-range', { offset: '9007199254740991' }),
  external('an offset in hexadecimal', 'external-range', { offset: '0x10' }),
  external('a length that does not fit the shape', 'tensor-size', { length: '1000' }),
  edited('a NaN weight', 'not-finite', (model) => spoil(model, Number.NaN)),
  edited('an infinite weight', 'not-finite', (model) => spoil(model, Number.NEGATIVE_INFINITY)),
  edited('two initializers of one name', 'duplicate-name', (model) => {
    weightOf(model, 'layers.1/mlp/up_proj').name = weightOf(model, 'layers.0/mlp/up_proj').name ?? '';
  }),
  edited('two nodes that make one value', 'duplicate-name', (model) => {
    nodeOf(model, 'layers.1/mlp/up_proj').output = [...(nodeOf(model, 'layers.0/mlp/up_proj').output ?? [])];
  }),
  edited('an input that nothing makes', 'unknown-value', (model) => {
    nodeOf(model, 'layers.1/mlp/up_proj').input = ['nowhere', 'nothing'];
  }),
  edited('an unknown element type', 'unknown-dtype', (model) => {
    weightOf(model, 'layers.0/mlp/up_proj').dataType = 99;
  }),
  edited('bytes that do not fit the shape', 'tensor-size', (model) => {
    weightOf(model, 'layers.0/mlp/up_proj').dims = [long(128), long(385)];
  }),
  edited('a negative dimension', 'tensor-size', (model) => {
    weightOf(model, 'layers.0/mlp/up_proj').dims = [long(-128), long(384)];
  }),
  edited('a shape of 2^80 elements', 'tensor-size', (model) => {
    weightOf(model, 'layers.0/mlp/up_proj').dims = [long(2 ** 40), long(2 ** 40)];
  }),
  edited('a cyclic graph', 'cyclic-graph', (model) => {
    const [from, to] = [nodeOf(model, 'layers.1/mlp/down_proj'), nodeOf(model, 'layers.0/mlp/up_proj')];
    to.input = [from.output?.[0] ?? '', to.input?.[1] ?? ''];
  }),
  edited('no operator sets', 'invalid-graph', (model) => {
    model.opsetImport = [];
  }),
  edited('an operator of a domain that is not imported', 'invalid-graph', (model) => {
    nodeOf(model, 'layers.0/mlp/Mul').domain = 'com.example';
  }),
  edited('operators of ai.onnx where only another domain is imported', 'invalid-graph', (model) => {
    model.opsetImport = [{ domain: 'com.example', version: long(1) }];
  }),
  edited('a local function that calls itself', 'local-function', (model) => {
    const again = { opType: 'again', domain: 'own', input: ['x'], output: ['y'] };
    model.functions = [{ name: 'again', domain: 'own', input: ['x'], output: ['y'], node: [again] }];
    model.opsetImport?.push({ domain: 'own', version: long(1) });
  }),
  edited('weights that are all inputs too', 'weight-overridable', (model) => {
    for (const { name = '', dataType = 1, dims = [] } of model.graph?.initializer ?? []) {
      const shape = { dim: dims.map((dimValue) => ({ dimValue })) };
      model.graph?.input?.push({ name, type: { tensorType: { elemType: dataType, shape } } });
    }
  }),
  edited('a model that is quantized already', 'already-quantized', (model) => {
    const layers = ['layers.0', 'layers.1'].flatMap((layer) =>
      ['gate', 'up', 'down'].map((role) => `${layer}/mlp/${role}`),
    );
    for (const part of layers) quantize(model, part);
    model.opsetImport?.push({ domain: 'com.microsoft', version: long(1) });
  }),
  edited('a model without a gated feed-forward block', 'no-ffn', (model) => {
    for (const layer of [0, 1]) nodeOf(model, `layers.${layer}/mlp/Mul`).opType = 'Add';
  }),
];
