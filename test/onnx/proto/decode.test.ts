import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CompilerError } from '../../../src/diagnostics.js';
import { bytesPayload } from '../../../src/files/payload.js';
import { DataFile } from '../../../src/onnx/proto/data-file.js';
import { decodeModel, decodeModelFile } from '../../../src/onnx/proto/decode.js';
import { encodeModel } from '../../../src/onnx/proto/encode.js';
import { MODEL, type ModelProto, type TensorProto } from '../../../src/onnx/proto/messages.js';
import { visitTensors } from '../../../src/onnx/proto/tensors.js';
import { fixture, temporaryFolder } from '../../support/paths.js';
import { codeOf, field, file, model, node, tensor, varint, whole } from './support.js';

const decoded = (bytes: Uint8Array): ModelProto => decodeModel(bytesPayload(bytes), 'test');
const firstTensor = (message: ModelProto): TensorProto | undefined => message.graph?.initializer?.[0];
const everything = readFileSync(fixture('proto/everything.onnx'));

describe('decodeModel', () => {
  it('reads and writes every message of the schema to the byte, unknown fields at every level too', () => {
    expect(Buffer.from(encodeModel(decoded(everything))).equals(everything)).toBe(true);
  });

  it('keeps unknown fields on messages of every depth', () => {
    const message = decoded(everything);
    const clip = message.graph?.node?.[1];
    const places = [
      message,
      message.graph,
      clip,
      message.graph?.node?.[2]?.attribute?.[0],
      message.graph?.initializer?.[0],
    ];
    for (const place of places)
      expect(place?.$unknowns?.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual(['fa3f03616263']);
  });

  it('leaves raw_data of 1 KiB and more where it is', () => {
    const small = Array.from({ length: 1023 }, (_, index) => index % 251);
    const large = Array.from({ length: 1024 }, (_, index) => index % 251);
    const graph = [
      ...field(5, tensor('small', 1023, field(9, small))),
      ...field(5, tensor('large', 1024, field(9, large))),
    ];
    const path = file(model(graph));
    const source = new DataFile(path);
    const [first, second] = decodeModelFile(source).graph?.initializer ?? [];
    expect(first?.payload).toBeUndefined();
    expect([...(first?.rawData ?? [])]).toEqual(small);
    expect(second?.rawData).toBeUndefined();
    expect([...(second?.payload?.read(1000, 1024) ?? [])]).toEqual(large.slice(1000));
  });

  it('finds raw_data in attributes, nested graphs, functions, sparse tensors and training graphs', () => {
    const big = field(9, new Array(2000).fill(7));
    const t = (name: string): number[] => tensor(name, 2000, big);
    const attribute = field(5, [...field(1, 'value'), ...field(5, t('attribute')), ...whole(20, 4)]);
    const inner = field(5, [...field(1, 'body'), ...field(6, field(5, t('inner'))), ...whole(20, 5)]);
    const list = field(5, [...field(1, 'list'), ...field(10, t('a')), ...field(10, t('b')), ...whole(20, 9)]);
    const graph = [...field(1, node('Op', [], ['y'], attribute, inner, list)), ...field(15, field(1, t('sparse')))];
    const functions = field(
      25,
      field(7, node('Constant', [], ['c'], field(5, [...field(5, t('function')), ...whole(20, 4)]))),
    );
    const bytes = model(graph, field(20, field(2, field(5, t('training')))), functions);
    const message = decoded(bytes);
    const found: string[] = [];
    visitTensors(message, MODEL, (each) => found.push(`${each.name}:${each.payload?.length}`));
    const names = ['attribute', 'inner', 'a', 'b', 'sparse', 'training', 'function'];
    expect(found.sort()).toEqual(names.map((name) => `${name}:2000`).sort());
    expect(Buffer.from(encodeModel(message)).equals(bytes)).toBe(true);
  });

  it('does not mistake the contents of small tensors for its own marks', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 12 }), (raw) => {
        const bytes = model(field(5, tensor('t', raw.length, field(9, [...raw]))));
        const message = decoded(bytes);
        expect([...(firstTensor(message)?.rawData ?? [])]).toEqual([...raw]);
        expect(Buffer.from(encodeModel(message)).equals(Buffer.from(bytes))).toBe(true);
      }),
    );
  });

  it('takes the last raw_data when a tensor has several, as protobuf says', () => {
    const large = new Array(1500).fill(1);
    const largeLast = decoded(model(field(5, tensor('t', 1500, field(9, [1, 2]), field(9, large)))));
    expect(firstTensor(largeLast)?.payload?.length).toBe(1500);
    const smallLast = decoded(model(field(5, tensor('t', 2, field(9, large), field(9, [1, 2])))));
    expect([...(firstTensor(smallLast)?.rawData ?? [])]).toEqual([1, 2]);
  });

  it('keeps int64 values exact', () => {
    const value = -(2n ** 63n) + 1n;
    const attribute = field(5, [...field(1, 'i'), ...whole(3, BigInt.asUintN(64, value)), ...whole(20, 2)]);
    const message = decoded(model(field(1, node('Op', [], ['y'], attribute))));
    expect(message.graph?.node?.[0]?.attribute?.[0]?.i?.toBigInt()).toBe(value);
  });

  it('merges a graph that comes in two parts', () => {
    const bytes = Uint8Array.from([
      ...model(field(1, node('A', [], ['a']))),
      ...field(7, field(1, node('B', [], ['b']))),
    ]);
    expect(decoded(bytes).graph?.node?.map((each) => each.opType)).toEqual(['A', 'B']);
  });
});

describe('decodeModel on bad input', () => {
  const code = (bytes: readonly number[] | Uint8Array): string | undefined =>
    codeOf(() => decoded(Uint8Array.from(bytes)));

  it('refuses what is no model', () => {
    expect(code([])).toBe('not-onnx');
    expect(code([...Buffer.from('hello world, this is text')])).toBe('not-onnx');
    expect(code([...Buffer.from('{"a": 1}')])).toBe('not-onnx');
    expect(code([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 13])).toBe('not-onnx');
    expect(code([...Buffer.from('PK\x03\x04 a zip file')])).toBe('not-onnx');
    expect(code(new Array(100).fill(0))).toBe('not-onnx');
    expect(code(new Array(100).fill(0xff))).toBe('not-onnx');
    expect(code(whole(1, 8))).toBe('not-onnx');
  });

  it('refuses a graph with the wrong wire type and a string that is not UTF-8', () => {
    expect(code([...whole(1, 8), ...whole(7, 1)])).toBe('not-onnx');
    expect(code(model(field(2, [0xff, 0xfe])))).toBe('not-onnx');
  });

  it('says truncated for every beginning of a model that has lost its end', () => {
    const bytes = model([
      ...field(1, node('A', ['x'], ['a'])),
      ...field(5, tensor('t', 1200, field(9, new Array(1200).fill(3)))),
    ]);
    for (let length = 3; length < bytes.length - 4; length += 7)
      expect(code(bytes.subarray(0, length))).toBe('truncated');
  });

  it('refuses lengths that pass the end, however large, without allocating them', () => {
    for (const length of [2 ** 31 - 1, 2 ** 32, 2n ** 63n, 2n ** 64n - 1n]) {
      expect(code([...whole(1, 8), ...varint(7 * 8 + 2), ...varint(length)])).toBe('truncated');
      const raw = [...varint(9 * 8 + 2), ...varint(length), 1, 2];
      expect(code(model(field(5, [...tensor('t', 2), ...raw])))).toBe('not-onnx');
    }
  });

  it('refuses numbers of more than ten bytes, field number 0 and wire types 6 and 7', () => {
    expect(code([...whole(1, 8), ...varint(7 * 8), ...new Array(11).fill(0x80), 0])).toBe('not-onnx');
    expect(code([...whole(1, 8), 0x02, 0])).toBe('not-onnx');
    expect(code([...whole(1, 8), 0x0e])).toBe('not-onnx');
    expect(code([...whole(1, 8), 0x0f])).toBe('not-onnx');
  });

  it('stops at 100 levels of graphs, groups and types', () => {
    let graph: number[] = [];
    for (let depth = 0; depth < 40; depth++)
      graph = field(1, node('If', [], [], field(5, [...field(1, 'g'), ...field(6, graph), ...whole(20, 5)])));
    expect(code(model(graph))).toBe('too-deep');
    const groups = [...new Array(200).fill(0x3b), ...new Array(200).fill(0x3c)];
    expect(code([...model([]), ...groups])).toBe('too-deep');
    let type: number[] = [];
    for (let depth = 0; depth < 200; depth++) type = field(4, field(1, type));
    expect(code(model(field(13, [...field(1, 'v'), ...field(2, type)])))).toBe('too-deep');
  });

  it('reads a chain of graphs that is deep but allowed', () => {
    let graph: number[] = [];
    for (let depth = 0; depth < 30; depth++)
      graph = field(1, node('If', [], [], field(5, [...field(1, 'g'), ...field(6, graph), ...whole(20, 5)])));
    expect(code(model(graph))).toBeUndefined();
  });

  it('refuses a small file that would unfold to gigabytes', () => {
    const nodes = new Uint8Array(20 << 20);
    for (let at = 0; at < nodes.length; at += 2) nodes[at] = 0x0a;
    const head = [...whole(1, 8), ...varint(7 * 8 + 2), ...varint(nodes.length)];
    expect(code(Buffer.concat([Uint8Array.from(head), nodes]))).toBe('message-too-large');
    const packed = [...varint(7 * 8 + 2), ...varint(70 << 20)];
    const outer = (length: number): number[] => [...varint(5 * 8 + 2), ...varint(length)];
    const long = Buffer.concat([Uint8Array.from(packed), new Uint8Array(70 << 20)]);
    const graph = Buffer.concat([Uint8Array.from(outer(long.length)), long]);
    const start = [...whole(1, 8), ...varint(7 * 8 + 2), ...varint(graph.length)];
    expect(code(Buffer.concat([Uint8Array.from(start), graph]))).toBe('message-too-large');
  });

  it('refuses a group that another one closes', () => {
    expect(code([...model([]), 0x3b, 0x44])).toBe('not-onnx');
  });

  it('survives any change of bytes with a model or a code', () => {
    const change = fc.tuple(fc.nat(everything.length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = Uint8Array.from(everything);
        for (const [at, value] of changes) bytes[at] = value;
        try {
          decoded(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CompilerError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('refuses a message of more than protobuf can hold, without reading it', () => {
    const huge = { length: 2 ** 31, read: () => new Uint8Array(0) };
    expect(codeOf(() => decodeModel(huge, 'test'))).toBe('message-too-large');
  });

  it('refuses folders, missing files and files that changed after they were opened', () => {
    const path = file(model(field(5, tensor('t', 2000, field(9, new Array(2000).fill(1))))));
    expect(codeOf(() => new DataFile(temporaryFolder()))).toBe('file-missing');
    expect(codeOf(() => new DataFile(join(temporaryFolder(), 'none.onnx')))).toBe('file-missing');
    const source = new DataFile(path);
    const payload = firstTensor(decodeModelFile(source))?.payload;
    expect(payload?.read(0, 1)).toEqual(Uint8Array.of(1));
    writeFileSync(path, 'something else');
    expect(codeOf(() => payload?.read(0, 1))).toBe('input-changed');
  });
});
