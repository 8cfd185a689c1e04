import { closeSync, copyFileSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { CompilerError } from '../../../src/diagnostics.js';
import { importBytes, importModel } from '../../../src/onnx/convert/import.js';
import { DTYPES } from '../../../src/onnx/ir/dtype.js';
import type { Graph, Model, Value } from '../../../src/onnx/ir/graph.js';
import { subgraphsOf } from '../../../src/onnx/ir/graph.js';
import { fixture, temporaryFolder } from '../../support/paths.js';
import { codeOf, external, field, floatInfo, model, node, tensor, whole } from '../proto/support.js';

const initializer = (source: Model, name: string): Value | undefined =>
  [...source.graph.initializers].find((value) => value.name === name);
const graphField = (name: string, graph: readonly number[]): number[] =>
  field(5, [...field(1, name), ...field(6, graph), ...whole(20, 5)]);
const constant = (name: string): number[] => field(5, tensor(name, 1, field(9, [1])));

describe('a model that uses every message', () => {
  const everything = importModel(fixture('proto/everything.onnx'));
  const { graph } = everything;

  it('has its facts', () => {
    expect([everything.irVersion, everything.producerName, everything.producerVersion]).toEqual([13, 'fixture', '1']);
    expect([...everything.opsets]).toEqual([
      ['', 21],
      ['test', 1],
      ['local', 1],
    ]);
    expect([...everything.metadata]).toEqual([
      ['key', 'value'],
      ['a', 'b'],
    ]);
    expect(graph.nodes.map((each) => each.op)).toEqual([
      'Constant',
      'Clip',
      'Rich',
      'Double',
      'If',
      'SequenceConstruct',
    ]);
    expect([...(graph.nodes[1]?.metadata ?? [])]).toEqual([['pkg', 'module']]);
  });

  it('shows typed fields as the raw bytes of the same elements', () => {
    const expected = JSON.parse(readFileSync(fixture('proto/typed-tensors.json'), 'utf8')) as Record<string, string>;
    const actual = Object.keys(expected).map((name) => {
      const found = initializer(everything, name)?.initializer;
      return [name, Buffer.from(found?.bytes() ?? []).toString('hex')];
    });
    expect(Object.fromEntries(actual)).toEqual(expected);
    const int4 = initializer(everything, 'int4')?.initializer;
    expect([int4?.dtype, int4?.shape, int4?.byteLength, DTYPES.int4.bits]).toEqual(['int4', [5], 3, 4]);
    expect([...(int4?.bytes(1, 2) ?? [])]).toEqual([0xde]);
  });

  it('shows strings and sparse tensors', () => {
    const words = initializer(everything, 'words')?.initializer;
    expect(words?.strings?.map((bytes) => [...bytes])).toEqual([[...Buffer.from('one')], [0xff]]);
    const sparse = initializer(everything, 'sparse')?.initializer;
    const numbers = new Float32Array(Uint8Array.from(sparse?.bytes() ?? []).buffer);
    expect([sparse?.shape, [...numbers]]).toEqual([
      [2, 3],
      [0, 1.5, 0, 0, 0, -2.5],
    ]);
  });

  it('reads attributes of every kind and leaves the rest opaque', () => {
    const rich = graph.nodes[2]?.attributes;
    const kinds = Object.fromEntries([...(rich ?? [])].map(([name, attribute]) => [name, attribute.kind]));
    expect(kinds).toEqual({
      i: 'int',
      f: 'float',
      s: 'string',
      ints: 'ints',
      floats: 'floats',
      strings: 'strings',
      g: 'graph',
      graphs: 'graphs',
      tensors: 'tensors',
      tp: 'opaque',
      sparse: 'opaque',
      bytes: 'opaque',
    });
    expect(rich?.get('i')).toEqual({ kind: 'int', value: -(2n ** 40n) });
    expect(rich?.get('f')).toEqual({ kind: 'float', value: Math.fround(0.1) });
    expect(rich?.get('ints')).toEqual({ kind: 'ints', value: [1n, -2n] });
  });

  it('knows types, absent inputs and graphs that read outer values', () => {
    expect(graph.inputs[0]?.type).toEqual({ dtype: 'float32', shape: ['n', 16] });
    expect(graph.outputs.map((value) => value.type)).toEqual([
      { dtype: 'float32', shape: undefined },
      { dtype: 'float32', shape: [undefined, 16] },
      undefined,
    ]);
    const clip = graph.nodes[1];
    expect(clip?.inputs.map((value) => value?.name)).toEqual(['x', undefined, 'top']);
    const branches = subgraphsOf(graph.nodes[4] as never);
    expect(branches.map((branch) => branch.owner?.op)).toEqual(['If', 'If']);
    expect(branches[0]?.nodes[0]?.inputs[0]).toBe(graph.inputs[0]);
    expect(graph.inputs[0]?.uses.size).toBe(5);
  });
});

describe('names', () => {
  const code = (...graph: readonly number[][]): string | undefined => codeOf(() => importBytes(model(graph.flat())));

  it('may repeat in graphs side by side and hide outer ones', () => {
    const branch = (read: string): number[] => [
      ...field(1, node('A', [read], ['t'])),
      ...field(1, node('B', ['t'], ['y'])),
      ...field(12, field(1, 'y')),
    ];
    const shadow = [...constant('x'), ...branch('x')];
    const both = node('If', ['x'], ['r'], graphField('then_branch', branch('x')), graphField('else_branch', shadow));
    const { graph } = importBytes(
      model([...field(11, floatInfo('x', [1])), ...field(1, both), ...field(12, field(1, 'r'))]),
    );
    const [outer, inner] = subgraphsOf(graph.nodes[0] as never) as [Graph, Graph];
    expect(outer.nodes[0]?.inputs[0]).toBe(graph.inputs[0]);
    expect(inner.nodes[0]?.inputs[0]).toBe([...inner.initializers][0]);
    expect(outer.nodes[0]?.outputs[0]).not.toBe(inner.nodes[0]?.outputs[0]);
  });

  it('may belong to an input and its default', () => {
    const { graph } = importBytes(model([...field(11, floatInfo('w', [1])), ...constant('w')]));
    expect(graph.inputs[0]).toBe([...graph.initializers][0]);
    expect(graph.inputs[0]?.isInput).toBe(true);
  });

  it('are refused when one graph defines them twice', () => {
    expect(code(field(1, node('A', [], ['y'])), field(1, node('B', [], ['y'])))).toBe('duplicate-name');
    expect(code(field(1, node('A', [], ['y', 'y'])))).toBe('duplicate-name');
    expect(code(field(11, floatInfo('x', [1])), field(1, node('A', [], ['x'])))).toBe('duplicate-name');
    expect(code(field(11, floatInfo('x', [1])), field(11, floatInfo('x', [1])))).toBe('duplicate-name');
    expect(code(constant('w'), constant('w'))).toBe('duplicate-name');
    expect(code(constant('w'), field(1, node('A', [], ['w'])))).toBe('duplicate-name');
    expect(code(field(11, floatInfo('w', [1])), constant('w'), constant('w'))).toBe('duplicate-name');
  });

  it('are refused when nothing makes them', () => {
    expect(code(field(1, node('A', ['x'], ['y'])))).toBe('unknown-value');
    expect(code(field(12, field(1, 'y')))).toBe('unknown-value');
    const inner = graphField('body', field(1, node('A', [], ['hidden'])));
    expect(code(field(1, node('Loop', [], ['y'], inner)), field(1, node('B', ['hidden'], ['z'])))).toBe(
      'unknown-value',
    );
  });

  it('are needed', () => {
    expect(code(field(11, []))).toBe('invalid-graph');
    expect(code(constant(''))).toBe('invalid-graph');
    expect(code(field(1, field(2, 'y')))).toBe('invalid-graph');
    const twice = field(5, [...field(1, 'a'), ...whole(3, 1), ...whole(20, 2)]);
    expect(code(field(1, node('A', [], ['y'], twice, twice)))).toBe('invalid-graph');
  });

  it('with the long form of the default domain mean the same', () => {
    const { graph, opsets } = importBytes(
      model(
        field(1, node('Constant', [], ['y'], field(7, 'ai.onnx'))),
        field(8, [...field(1, 'ai.onnx'), ...whole(2, 17)]),
      ),
    );
    expect([graph.nodes[0]?.domain, [...opsets]]).toEqual(['', [['', 17]]]);
    expect(codeOf(() => importBytes(model([], field(8, [...field(1, 'ai.onnx'), ...whole(2, 18)]))))).toBe(
      'invalid-graph',
    );
  });
});

describe('order', () => {
  const nodes = (source: Model): string[] => source.graph.nodes.map((each) => each.op);

  it('is kept when it is topological and repaired with few moves when it is not', () => {
    const kept = [node('A', [], ['a']), node('C', [], ['c']), node('B', ['a'], ['b'])];
    expect(nodes(importBytes(model(kept.flatMap((each) => field(1, each)))))).toEqual(['A', 'C', 'B']);
    const mixed = [node('D', ['b'], ['d']), node('C', [], ['c']), node('B', ['a'], ['b']), node('A', [], ['a'])];
    expect(nodes(importBytes(model(mixed.flatMap((each) => field(1, each)))))).toEqual(['C', 'A', 'B', 'D']);
  });

  it('counts what nested graphs read and give out', () => {
    const reads = graphField('g', [...field(1, node('Use', ['a'], ['u']))]);
    const gives = graphField('g', field(12, field(1, 'a')));
    for (const inner of [reads, gives]) {
      const mixed = [node('If', [], ['i'], inner), node('A', [], ['a'])];
      expect(nodes(importBytes(model(mixed.flatMap((each) => field(1, each)))))).toEqual(['A', 'If']);
    }
  });

  it('is refused to cycles, through nested graphs too', () => {
    const code = (...list: readonly number[][]): string | undefined =>
      codeOf(() => importBytes(model(list.flatMap((each) => field(1, each)))));
    expect(code(node('A', ['a'], ['a']))).toBe('cyclic-graph');
    expect(code(node('A', ['c'], ['a']), node('B', ['a'], ['b']), node('C', ['b'], ['c']))).toBe('cyclic-graph');
    expect(code(node('If', [], ['i'], graphField('g', field(1, node('Use', ['i'], ['u'])))))).toBe('cyclic-graph');
  });

  it('of 5000 nodes written backwards takes no time', () => {
    const list = Array.from({ length: 5000 }, (_, index) =>
      node('A', index === 4999 ? [] : [`v${index + 1}`], [`v${index}`]),
    );
    const { graph } = importBytes(model(list.flatMap((each) => field(1, each))));
    expect(graph.nodes[0]?.outputs[0]?.name).toBe('v4999');
  });
});

describe('tensors', () => {
  const code = (...contents: readonly number[][]): string | undefined =>
    codeOf(() => importBytes(model(field(5, contents.flat()))));

  it('must have the bytes that their shape takes', () => {
    expect(code(tensor('t', 4, field(9, [1, 2, 3])))).toBe('tensor-size');
    expect(code(tensor('t', 4, field(9, new Array(2000).fill(0))))).toBe('tensor-size');
    expect(code(tensor('t', 4))).toBe('tensor-size');
    expect(code(tensor('t', 4, field(5, [1, 2, 3])))).toBe('tensor-size');
    expect(code(tensor('t', 0))).toBeUndefined();
    expect(code(whole(1, 1), whole(2, 8), field(8, 't'))).toBe('tensor-size');
  });

  it('must have a shape that can be', () => {
    const negative = BigInt.asUintN(64, -1n);
    expect(code(whole(1, negative), whole(2, 2), field(8, 't'))).toBe('tensor-size');
    expect(code(whole(1, 2n ** 40n), whole(1, 2n ** 40n), whole(2, 2), field(8, 't'))).toBe('tensor-size');
    expect(code(whole(1, 2n ** 62n), whole(2, 2), field(8, 't'))).toBe('tensor-size');
  });

  it('must have a known type', () => {
    expect(code(whole(2, 0), field(8, 't'))).toBe('unknown-dtype');
    expect(code(whole(2, 99), field(8, 't'))).toBe('unknown-dtype');
  });

  it('are aligned for typed arrays', () => {
    const source = importBytes(
      model([
        ...field(5, tensor('a', 3, field(9, [1, 2, 3]))),
        ...field(5, tensor('b', 8, field(9, [1, 2, 3, 4, 5, 6, 7, 8]))),
      ]),
    );
    for (const value of source.graph.initializers) expect((value.initializer?.bytes().byteOffset ?? 1) % 8).toBe(0);
  });
});

describe('external data', () => {
  const setUp = (dataLength: number, ...tensors: readonly number[][]): string => {
    const path = join(temporaryFolder(), 'model.onnx');
    writeFileSync(path, model(tensors.flatMap((each) => field(5, each))));
    writeFileSync(
      join(path, '../data'),
      Uint8Array.from({ length: dataLength }, (_, index) => index % 251),
    );
    return path;
  };
  const at = (name: string, offset: number, length: number, more = {}): number[] =>
    tensor(name, length, external({ location: 'data', offset: String(offset), length: String(length), ...more }));
  const code = (dataLength: number, ...tensors: readonly number[][]): string | undefined => {
    const path = setUp(dataLength, ...tensors);
    return codeOf(() => importModel(path));
  };

  it('is read in ranges, on demand', () => {
    const source = importModel(setUp(3000, at('t', 1000, 2000)));
    const found = initializer(source, 't')?.initializer;
    expect([...(found?.bytes(10, 13) ?? [])]).toEqual([1010 % 251, 1011 % 251, 1012 % 251]);
    expect(found?.bytes().length).toBe(2000);
    expect(found?.bytes(0, 1)).toEqual(Uint8Array.of(1000 % 251));
  });

  it('is read beyond 4 GiB', () => {
    const offset = 2 ** 32 + 8;
    const path = setUp(0, at('t', offset, 4));
    const data = openSync(join(path, '../data'), 'r+');
    writeSync(data, Uint8Array.of(1, 2, 3, 4), 0, 4, offset);
    closeSync(data);
    const source = importModel(path);
    expect(initializer(source, 't')?.initializer?.bytes()).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  it('has one storage for one range', () => {
    const source = importModel(setUp(100, at('a', 0, 50), at('b', 0, 50), at('c', 50, 50)));
    const [a, b, c] = [...source.graph.initializers].map((value) => value.initializer?.storage);
    expect(a).toBe(b);
    expect(a).not.toBe(c);
  });

  it('may leave out offset and length', () => {
    const source = importModel(setUp(10, tensor('t', 10, external({ location: 'data' }))));
    expect(initializer(source, 't')?.initializer?.bytes().length).toBe(10);
    expect(code(9, tensor('t', 10, external({ location: 'data' })))).toBe('external-short');
  });

  it('is refused when it is short, overlapping, of the wrong size, missing or elsewhere', () => {
    expect(code(10, at('t', 1, 10))).toBe('external-short');
    expect(code(10, at('t', 2 ** 45, 10))).toBe('external-short');
    expect(code(100, at('a', 0, 50), at('b', 49, 50))).toBe('external-overlap');
    expect(code(100, at('t', 0, 10, { length: '9' }))).toBe('tensor-size');
    expect(code(100, at('t', 0, 10, { offset: '-1' }))).toBe('external-range');
    expect(code(100, at('t', 0, 10, { location: 'none' }))).toBe('external-missing');
    expect(code(100, at('t', 0, 10, { location: '../data' }))).toBe('external-path');
    expect(code(100, at('t', 0, 10, { location: '.' }))).toBe('external-path');
  });

  it('is refused in a model that is not in a file', () => {
    expect(codeOf(() => importBytes(model(field(5, at('t', 0, 10)))))).toBe('external-missing');
  });

  it('tolerates keys of the future and a checksum', () => {
    expect(code(10, at('t', 0, 10, { checksum: '00', future: 'x' }))).toBeUndefined();
  });

  it('may be in attributes and nested graphs', () => {
    const folder = temporaryFolder();
    copyFileSync(join(setUp(100), '../data'), join(folder, 'data'));
    const value = field(5, [...field(1, 'value'), ...field(5, at('', 0, 10)), ...whole(20, 4)]);
    const inner = graphField('body', field(5, at('w', 20, 10)));
    const path = join(folder, 'model.onnx');
    writeFileSync(
      path,
      model([...field(1, node('Constant', [], ['c'], value)), ...field(1, node('Loop', [], ['l'], inner))]),
    );
    const { graph } = importModel(path);
    const attribute = graph.nodes[0]?.attributes.get('value');
    expect(attribute?.kind === 'tensor' ? attribute.value.bytes(0, 2) : undefined).toEqual(Uint8Array.of(0, 1));
    const [body] = subgraphsOf(graph.nodes[1] as never);
    expect([...(body?.initializers ?? [])][0]?.initializer?.bytes(0, 2)).toEqual(Uint8Array.of(20, 21));
  });

  it('names file and tensor in its errors', () => {
    const path = setUp(10, at('short one', 1, 10));
    try {
      importModel(path);
      throw new Error('no error');
    } catch (error) {
      expect(error).toBeInstanceOf(CompilerError);
      expect((error as CompilerError).sentence).toContain('model.onnx: short one');
    }
  });
});
