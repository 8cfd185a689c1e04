/** import ∘ export is the identity on messages, whatever form the weights take. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import onnxProto from 'onnx-proto';
import { bytesPayload } from '../../../src/files/payload.js';
import { exportMessage, exportModel, modelBytes } from '../../../src/onnx/convert/export.js';
import { importBytes, importMessage, importModel } from '../../../src/onnx/convert/import.js';
import { cloneModel } from '../../../src/onnx/ir/clone.js';
import { DataFile } from '../../../src/onnx/proto/data-file.js';
import { decodeModel, decodeModelFile } from '../../../src/onnx/proto/decode.js';
import { encodeModel } from '../../../src/onnx/proto/encode.js';
import type { GraphProto, ModelProto } from '../../../src/onnx/proto/messages.js';
import { fixture, temporaryFolder } from '../../support/paths.js';
import { field, floatInfo, model, node, whole } from '../proto/support.js';

const path = fixture('proto/everything.onnx');
const everything = readFileSync(path);

describe('a model that uses every message of the schema', () => {
  it('comes back to the byte from memory', () => {
    expect(Buffer.from(modelBytes(importBytes(everything))).equals(everything)).toBe(true);
  });

  it('comes back to the byte from an inline file', () => {
    const target = join(temporaryFolder(), 'out.onnx');
    const written = exportModel(importModel(path), target, { inline: true });
    expect(written).toEqual({ path: target, bytes: everything.length, data: undefined });
    expect(readFileSync(target).equals(everything)).toBe(true);
  });

  it('comes back to the byte by way of external data', () => {
    const folder = temporaryFolder();
    const first = join(folder, 'first.onnx');
    const written = exportModel(importModel(path), first);
    expect(written.data).toEqual({ path: `${first}.data`, bytes: 2048 });
    const second = importModel(first);
    expect(Buffer.from(modelBytes(second)).equals(everything)).toBe(true);
  });

  it('can be exported over its own files', () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, 'm'));
    const target = join(folder, 'm/model.onnx');
    exportModel(importModel(path), target);
    for (let turn = 0; turn < 2; turn++) exportModel(importModel(target), target);
    expect(Buffer.from(modelBytes(importModel(target))).equals(everything)).toBe(true);
  });

  it('is not changed by exporting it, and exports the same bytes each time', () => {
    const imported = importBytes(everything);
    const first = modelBytes(imported);
    exportModel(imported, join(temporaryFolder(), 'x.onnx'), { externalThreshold: 0 });
    expect(Buffer.from(modelBytes(imported)).equals(first)).toBe(true);
  });

  it('comes back to the byte from a clone', () => {
    const { model: clone } = cloneModel(importBytes(everything));
    expect(Buffer.from(modelBytes(clone)).equals(everything)).toBe(true);
  });

  it('is read by an independent reader of an older schema as it was before', () => {
    const { onnx } = onnxProto;
    const target = join(temporaryFolder(), 'out.onnx');
    exportModel(importModel(path), target, { inline: true });
    const seen = (file: string): unknown =>
      onnx.ModelProto.toObject(onnx.ModelProto.decode(readFileSync(file)), { longs: String });
    const after = seen(target) as { graph: { node: unknown[]; initializer: unknown[] }; functions: unknown[] };
    expect(after).toEqual(seen(path));
    expect([after.graph.node.length, after.graph.initializer.length, after.functions.length]).toEqual([6, 26, 1]);
  });
});

describe('external data as an independent reader sees it', () => {
  it('has location, offset and length, and the bytes are there', () => {
    const { onnx } = onnxProto;
    const target = join(temporaryFolder(), 'out.onnx');
    exportModel(importModel(path), target, { dataFile: 'weights.bin' });
    const message = onnx.ModelProto.decode(readFileSync(target));
    const weight = message.graph?.initializer?.find((each) => each.name === 'weight');
    const entries = (weight?.externalData ?? []).map((entry) => [entry.key, entry.value]);
    expect(entries).toEqual([
      ['location', 'weights.bin'],
      ['offset', '0'],
      ['length', '2048'],
    ]);
    const data = readFileSync(join(target, '../weights.bin'));
    expect(new Float32Array(Uint8Array.from(data).buffer)).toEqual(
      Float32Array.from({ length: 512 }, (_, index) => index),
    );
  });
});

const name = fc.string({ unit: fc.constantFrom('a', 'b', '/', '.', ':', 'é', '0'), minLength: 1, maxLength: 6 });
const attribute = fc.oneof(
  fc
    .bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    .map((value) => [...whole(3, BigInt.asUintN(64, value)), ...whole(20, 2)]),
  fc.uint8Array({ maxLength: 5 }).map((bytes) => [...field(4, [...bytes]), ...whole(20, 3)]),
  fc
    .array(fc.uint8Array({ maxLength: 3 }), { maxLength: 3 })
    .map((list) => [...list.flatMap((bytes) => field(9, [...bytes])), ...whole(20, 8)]),
  fc
    .nat(3000)
    .map((length) => [
      ...field(5, [...whole(1, length), ...whole(2, 2), ...field(9, new Array(length).fill(length % 256))]),
      ...whole(20, 4),
    ]),
);

/** A chain of nodes, each reading the one before, with random attributes and documentation. */
const chain = fc.uniqueArray(name, { minLength: 1, maxLength: 6 }).chain((names) =>
  fc.array(fc.tuple(attribute, fc.boolean()), { minLength: names.length, maxLength: names.length }).map((parts) => {
    const nodes = names.flatMap((each, index) => {
      const [value, documented] = parts[index] ?? [[], false];
      const contents = field(5, [...field(1, 'value'), ...value]);
      return field(
        1,
        node('Op', [names[index - 1] ?? ''], [each], contents, documented ? field(6, `about ${each}`) : []),
      );
    });
    return model([...nodes, ...field(2, 'g'), ...field(12, floatInfo(names.at(-1) ?? '', [1, 2]))]);
  }),
);

describe('random models', () => {
  it('come back the same through memory and through files', () => {
    const folder = temporaryFolder();
    const target = join(folder, 'model.onnx');
    fc.assert(
      fc.property(chain, fc.constantFrom(0, 1, 1024), (bytes, externalThreshold) => {
        const before = Buffer.from(encodeModel(decodeModel(bytesPayload(bytes), 'test')));
        expect(Buffer.from(modelBytes(importBytes(bytes))).equals(before)).toBe(true);
        exportModel(importBytes(bytes), target, { externalThreshold });
        expect(Buffer.from(modelBytes(importModel(target))).equals(before)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });
});

describe('messages', () => {
  it('can be imported and exported without bytes', () => {
    const file = new DataFile(path);
    const message: ModelProto = exportMessage(importMessage(decodeModelFile(file), path));
    const graph: GraphProto | undefined = message.graph;
    expect(graph?.initializer?.[0]?.payload?.length).toBe(2048);
    expect(Buffer.from(encodeModel(message)).equals(everything)).toBe(true);
  });
});
