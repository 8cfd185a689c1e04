import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type ExportOptions, exportMessage, exportModel, modelBytes } from '../../../src/onnx/convert/export.js';
import { importBytes, importModel } from '../../../src/onnx/convert/import.js';
import {
  float,
  graph as graphAttribute,
  int,
  ints,
  string,
  tensor as tensorAttribute,
} from '../../../src/onnx/ir/attribute.js';
import type { Model } from '../../../src/onnx/ir/graph.js';
import * as mutate from '../../../src/onnx/ir/mutate.js';
import { lazyTensor, type Tensor, tensorOf } from '../../../src/onnx/ir/tensor.js';
import { DataFile } from '../../../src/onnx/proto/data-file.js';
import { decodeModelFile } from '../../../src/onnx/proto/decode.js';
import type { ModelProto, TensorProto, ValueInfoProto } from '../../../src/onnx/proto/messages.js';
import { Rewriter } from '../../../src/onnx/rewrite/rewriter.js';
import { temporaryFolder } from '../../support/paths.js';
import { codeOf, external, field, floatInfo, model, node, tensor, whole } from '../proto/support.js';

const bytesOf = (length: number, value: number): Tensor =>
  tensorOf('uint8', [length], new Uint8Array(length).fill(value));

/** A new model with these initializers. */
function withTensors(tensors: Readonly<Record<string, Tensor>>): Model {
  const created = mutate.newModel(
    mutate.newGraph('g'),
    9,
    new Map([
      ['', 18],
      ['com.microsoft', 1],
    ]),
  );
  for (const [name, each] of Object.entries(tensors)) mutate.setInitializer(mutate.newValue(created.graph, name), each);
  return created;
}

function written(
  source: Model,
  options: ExportOptions = {},
): { path: string; initializers: TensorProto[]; data: Buffer } {
  const path = join(temporaryFolder(), 'model.onnx');
  const { data } = exportModel(source, path, options);
  const message = exportedMessage(path);
  return {
    path,
    initializers: message.graph?.initializer ?? [],
    data: data ? readFileSync(data.path) : Buffer.alloc(0),
  };
}

const exportedMessage = (path: string): ModelProto => decodeModelFile(new DataFile(path));
const entriesOf = (each: TensorProto | undefined): Record<string, string | undefined> =>
  Object.fromEntries((each?.externalData ?? []).map((entry) => [entry.key, entry.value]));

describe('exportModel', () => {
  it('puts tensors from the threshold on into the data file, shared ones once', () => {
    const shared = bytesOf(2000, 3);
    const { initializers, data } = written(
      withTensors({ a: bytesOf(1023, 1), b: bytesOf(1024, 2), c: shared, d: shared }),
    );
    expect(initializers.map(entriesOf)).toEqual([
      {},
      { location: 'model.onnx.data', offset: '0', length: '1024' },
      { location: 'model.onnx.data', offset: '1024', length: '2000' },
      { location: 'model.onnx.data', offset: '1024', length: '2000' },
    ]);
    expect(initializers[0]?.rawData).toEqual(new Uint8Array(1023).fill(1));
    expect(data.length).toBe(3024);
    expect(data[1024]).toBe(3);
  });

  it('keeps everything inside on request and makes no data file', () => {
    const { path, initializers } = written(withTensors({ a: bytesOf(5000, 1) }), { inline: true });
    expect(initializers[0]?.payload?.length).toBe(5000);
    expect(readdirSync(join(path, '..'))).toEqual(['model.onnx']);
  });

  it('renames the data file in every tensor', () => {
    const first = written(withTensors({ a: bytesOf(5000, 1), b: bytesOf(5000, 2) }));
    const { initializers } = written(importModel(first.path), { dataFile: 'other_data' });
    expect(initializers.map((each) => entriesOf(each).location)).toEqual(['other_data', 'other_data']);
  });

  it('points into files that someone else writes', () => {
    const placed = bytesOf(4096, 1);
    const own = bytesOf(2048, 2);
    const placements = (each: Tensor) =>
      each === placed ? { location: 'set.data', offset: 2 ** 33 + 5, length: 4096 } : undefined;
    const { initializers, data } = written(withTensors({ placed, own }), { placements });
    expect(entriesOf(initializers[0])).toEqual({ location: 'set.data', offset: '8589934597', length: '4096' });
    expect(entriesOf(initializers[1])).toEqual({ location: 'model.onnx.data', offset: '0', length: '2048' });
    expect(data.length).toBe(2048);
    expect(modelBytes(withTensors({ placed }), placements).length).toBeLessThan(200);
    const wrong = () => ({ location: 'set.data', offset: 0, length: 1 });
    expect(codeOf(() => modelBytes(withTensors({ placed }), wrong))).toBe('tensor-size');
  });

  it('refuses names of data files that are no bare names', () => {
    for (const dataFile of ['', '.', '..', 'a/b', '/a', '..\\a', 'model.onnx']) {
      const target = join(temporaryFolder(), 'model.onnx');
      expect([dataFile, codeOf(() => exportModel(withTensors({}), target, { dataFile }))]).toEqual([
        dataFile,
        'bad-usage',
      ]);
    }
  });

  it('refuses a message of 2 GiB before writing it', () => {
    const huge = lazyTensor('uint8', [2 ** 31], () => {
      throw new Error('must not be read');
    });
    const folder = temporaryFolder();
    expect(codeOf(() => exportModel(withTensors({ huge }), join(folder, 'm.onnx'), { inline: true }))).toBe(
      'message-too-large',
    );
    expect(readdirSync(folder)).toEqual([]);
  });

  it('leaves the old files when a tensor cannot be read', () => {
    const folder = temporaryFolder();
    const target = join(folder, 'm.onnx');
    writeFileSync(target, 'old');
    const broken = lazyTensor('uint8', [5000], () => {
      throw new Error('gone');
    });
    expect(() => exportModel(withTensors({ a: bytesOf(5000, 1), broken }), target)).toThrow('gone');
    expect([readdirSync(folder), readFileSync(target, 'utf8')]).toEqual([['m.onnx'], 'old']);
    expect(existsSync(`${target}.data`)).toBe(false);
  });

  it('writes the same bytes for the same model', () => {
    const make = () => written(withTensors({ a: bytesOf(70000, 1), b: bytesOf(10, 2), c: bytesOf(3000, 4) }));
    const [first, second] = [make(), make()];
    expect(readFileSync(first.path).equals(readFileSync(second.path))).toBe(true);
    expect(first.data.equals(second.data)).toBe(true);
  });

  it('writes typed fields as raw bytes when they go to the data file, and leaves them as they are otherwise', () => {
    const floats = Float32Array.from({ length: 300 }, (_, index) => index / 7);
    const contents = [
      ...whole(1, 300),
      ...whole(2, 1),
      ...field(4, [...new Uint8Array(floats.buffer)]),
      ...field(8, 't'),
    ];
    const source = model(field(5, contents));
    const { initializers, data } = written(importBytes(source));
    expect([initializers[0]?.floatData?.length, initializers[0]?.dataLocation]).toEqual([0, 1]);
    expect(new Float32Array(Uint8Array.from(data).buffer)).toEqual(floats);
    expect(Buffer.from(modelBytes(importBytes(source))).equals(source)).toBe(true);
  });

  it('gives a tensor that came with a checksum the one of the new file', () => {
    const folder = temporaryFolder();
    const entries = external({ location: 'd', offset: '0', length: '2000', checksum: 'stale', future: 'x' });
    writeFileSync(join(folder, 'd'), Buffer.alloc(2000));
    writeFileSync(join(folder, 'm.onnx'), model(field(5, tensor('t', 2000, entries))));
    const { initializers } = written(importModel(join(folder, 'm.onnx')));
    // SHA-1 of 2000 zero bytes.
    const checksum = 'c66bf56ddabc2021b84d3ae2755d0ab05ff0c99e';
    expect(Object.keys(entriesOf(initializers[0]))).toEqual(['location', 'offset', 'length', 'checksum']);
    expect(entriesOf(initializers[0]).checksum).toBe(checksum);
  });
});

describe('a changed model', () => {
  const imported = (): Model =>
    importBytes(
      model([
        ...field(1, node('Relu', ['x'], ['h'])),
        ...field(1, node('Neg', ['h'], ['y'], field(6, 'documented'))),
        ...field(11, floatInfo('x', [1, 4])),
        ...field(12, [...floatInfo('y', [1, 4]), ...field(3, 'the output')]),
        ...field(13, floatInfo('h', [1, 4])),
      ]),
    );
  const infos = (list: readonly ValueInfoProto[] | undefined): (string | undefined)[] =>
    (list ?? []).map((info) => info.name);

  it('keeps the declaration of an output whose producer was replaced', () => {
    const source = imported();
    const rewriter = new Rewriter(source);
    const [, neg] = source.graph.nodes;
    if (neg === undefined) throw new Error('no node');
    rewriter.replaceNode(neg, { op: 'Abs', inputs: neg.inputs, name: 'abs' });
    const output = exportMessage(source).graph?.output?.[0];
    expect([output?.name, output?.docString, output?.type?.tensorType?.shape?.dim?.length]).toEqual([
      'y',
      'the output',
      2,
    ]);
  });

  it('lists new values whose type is known and drops those that are gone', () => {
    const source = imported();
    const [relu, neg] = source.graph.nodes;
    if (relu === undefined || neg === undefined) throw new Error('no node');
    const added = mutate.newValue(source.graph, 'added', { dtype: 'float16', shape: ['n', undefined] });
    const fresh = mutate.newNode(source.graph, { name: 'fresh', op: 'Exp' }, 0);
    mutate.connect(fresh, 0, source.graph.inputs[0]);
    mutate.produce(fresh, 0, added);
    mutate.connect(neg, 0, added);
    mutate.detach(relu);
    const { graph } = exportMessage(source);
    expect(infos(graph?.valueInfo)).toEqual(['added']);
    const type = graph?.valueInfo?.[0]?.type?.tensorType;
    expect([type?.elemType, type?.shape?.dim]).toEqual([10, [{ dimParam: 'n' }, {}]]);
  });

  it('writes a type that was changed', () => {
    const source = imported();
    const [input] = source.graph.inputs;
    if (input === undefined) throw new Error('no input');
    mutate.setType(input, { dtype: 'int8', shape: [] });
    expect(exportMessage(source).graph?.input?.[0]?.type).toEqual({ tensorType: { elemType: 3, shape: { dim: [] } } });
  });

  it('writes new opsets behind those that came', () => {
    const source = imported();
    mutate.setOpset(source, '', 21);
    mutate.setOpset(source, 'com.microsoft', 1);
    const opsets = exportMessage(source).opsetImport?.map((entry) => [entry.domain, entry.version?.toNumber()]);
    expect(opsets).toEqual([
      [undefined, 21],
      ['com.microsoft', 1],
    ]);
  });

  it('writes new attributes with their types', () => {
    const source = imported();
    const [relu] = source.graph.nodes;
    if (relu === undefined) throw new Error('no node');
    mutate.setAttribute(relu, 'i', int(-5));
    mutate.setAttribute(relu, 'f', float(0.1));
    mutate.setAttribute(relu, 's', string('é'));
    mutate.setAttribute(relu, 'list', ints([1, -1]));
    mutate.setAttribute(relu, 't', tensorAttribute(bytesOf(3, 1)));
    mutate.setAttribute(relu, 'g', graphAttribute(mutate.newGraph('inner')));
    const again = importBytes(modelBytes(source)).graph.nodes[0]?.attributes;
    expect([...(again ?? [])].map(([name, each]) => [name, each.kind])).toEqual([
      ['i', 'int'],
      ['f', 'float'],
      ['s', 'string'],
      ['list', 'ints'],
      ['t', 'tensor'],
      ['g', 'graph'],
    ]);
    expect([again?.get('i'), again?.get('f'), again?.get('s')]).toEqual([int(-5), float(0.1), string('é')]);
  });

  it('keeps large tensors of other attributes than those of constants inside', () => {
    const source = imported();
    const [relu] = source.graph.nodes;
    if (relu === undefined) throw new Error('no node');
    mutate.setAttribute(relu, 'value', tensorAttribute(bytesOf(5000, 1)));
    const first = exportModel(source, join(temporaryFolder(), 'm.onnx'));
    expect(first.data).toBeUndefined();
    mutate.setOp(relu, 'Constant', '');
    expect(exportModel(source, join(temporaryFolder(), 'm.onnx')).data?.bytes).toBe(5000);
  });
});
