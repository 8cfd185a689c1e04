import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { modelBytes } from '../../../src/onnx/convert/export.js';
import { importModel as read } from '../../../src/onnx/convert/import.js';
import { type Model, nodesOf } from '../../../src/onnx/ir/graph.js';
import { encodeModel } from '../../../src/onnx/proto/encode.js';
import {
  ATTRIBUTE_TYPE,
  type AttributeProto,
  type FunctionProto,
  long,
  type ModelProto,
  type NodeProto,
  type ValueInfoProto,
} from '../../../src/onnx/proto/messages.js';
import { ortRuntime } from '../../../src/runtime/ort.js';
import { floats, type HostTensor, type Outputs, withSession } from '../../../src/runtime/runtime.js';
import { temporaryFolder } from '../../support/paths.js';

const FLOAT = 1;
const vector = (name: string, length = 3): ValueInfoProto => ({
  name,
  type: { tensorType: { elemType: FLOAT, shape: { dim: [{ dimValue: long(length) }] } } },
});
const node = (opType: string, input: string[], output: string[], more: Partial<NodeProto> = {}): NodeProto => ({
  opType,
  input,
  output,
  ...more,
});
const number = (name: string, f: number): AttributeProto => ({ name, type: ATTRIBUTE_TYPE.float, f });
const reference = (name: string, refAttrName: string): AttributeProto => ({
  name,
  type: ATTRIBUTE_TYPE.float,
  refAttrName,
});
const opset = (domain: string, version: number): { domain: string; version: ReturnType<typeof long> } => ({
  domain,
  version: long(version),
});
const own = (name: string, rest: Partial<FunctionProto>): FunctionProto => ({
  name,
  domain: 'own',
  opsetImport: [opset('', 18), opset('own', 1)],
  ...rest,
});

/** y = slope * x where x < 0, with the slope of the call or .5. */
const leaky = own('leaky', {
  input: ['x'],
  output: ['y'],
  attributeProto: [number('slope', 0.5)],
  node: [node('LeakyRelu', ['x'], ['y'], { attribute: [reference('alpha', 'slope')] })],
});
/** Two calls of another function; one attribute is handed on. The names inside are the names outside too. */
const twice = own('twice', {
  input: ['a'],
  output: ['b', 'c'],
  attribute: ['steep'],
  node: [
    node('leaky', ['a'], ['x'], { domain: 'own', attribute: [reference('slope', 'steep')] }),
    node('leaky', ['x'], ['y'], { domain: 'own' }),
    node('Neg', ['y'], ['b']),
    node('Add', ['y', 'x'], ['c']),
  ],
});
/** A nested graph that reads values of the function; an optional input that the call leaves out. */
const chosen = own('chosen', {
  input: ['v', 'low', 'high'],
  output: ['out', 'same'],
  node: [
    node('ReduceSum', ['v'], ['sum'], { attribute: [{ name: 'keepdims', type: ATTRIBUTE_TYPE.int, i: long(0) }] }),
    node('Sub', ['sum', 'sum'], ['zero']),
    node('Greater', ['sum', 'zero'], ['positive']),
    node('If', ['positive'], ['picked'], {
      attribute: [
        {
          name: 'then_branch',
          type: ATTRIBUTE_TYPE.graph,
          g: { name: 't', node: [node('leaky', ['v'], ['r'], { domain: 'own' })], output: [vector('r')] },
        },
        {
          name: 'else_branch',
          type: ATTRIBUTE_TYPE.graph,
          g: { name: 'e', node: [node('Neg', ['v'], ['r'])], output: [vector('r')] },
        },
      ],
    }),
    node('Clip', ['picked', 'low', 'high'], ['out']),
    node('Identity', ['v'], ['same']),
  ],
});

const model = (functions: FunctionProto[], nodes: NodeProto[], outputs: string[]): ModelProto => ({
  irVersion: long(9),
  opsetImport: [opset('', 18), opset('own', 1)],
  graph: { name: 'main', input: [vector('x')], output: outputs.map((name) => vector(name)), node: nodes },
  functions,
});
const CALLS = [
  node('twice', ['x'], ['y', 'z'], { domain: 'own', attribute: [number('steep', 0.25)] }),
  node('chosen', ['z', ''], ['w', 'v'], { domain: 'own' }),
  node('chosen', ['x'], ['u', 's'], { domain: 'own' }),
  node('Mul', ['w', 'v'], ['a']),
];
const OUTPUTS = ['y', 'z', 'w', 'v', 'u', 'a'];

function written(message: ModelProto): string {
  const folder = join(temporaryFolder(), 'm');
  mkdirSync(folder);
  const path = join(folder, 'model.onnx');
  writeFileSync(path, encodeModel(message));
  return path;
}

const run = (bytes: string | Uint8Array, x: readonly number[]): Promise<Outputs> =>
  withSession(ortRuntime, bytes, { threads: 1, optimization: 'disabled' }, (session) =>
    session.run({ x: floats(Float32Array.from(x)) }),
  );

const inlined = (path: string): Model => read(path, { functions: 'inline' });
const numbers = (outputs: Outputs, name: string): readonly number[] =>
  [...(outputs[name] as HostTensor).data].map(Number);

describe('local functions', () => {
  const path = written(model([twice, chosen, leaky], CALLS, OUTPUTS));

  it.each([[[1, -2, 3]], [[-4, 1, 0.5]]])('compute what ONNX Runtime makes of them, for %j', async (x) => {
    const wanted = await run(path, x);
    const got = await run(modelBytes(inlined(path)), x);
    for (const name of OUTPUTS) expect([name, numbers(got, name)]).toEqual([name, numbers(wanted, name)]);
  });

  it('may pass an input through', async () => {
    const same = own('same', { input: ['v', 'o'], output: ['v', 'r'], node: [node('Add', ['v', 'o'], ['r'])] });
    const calls = [node('same', ['x', 'x'], ['y', 'z'], { domain: 'own' })];
    const outputs = await run(modelBytes(inlined(written(model([same], calls, ['y', 'z'])))), [1, 2, 3]);
    expect([numbers(outputs, 'y'), numbers(outputs, 'z')]).toEqual([
      [1, 2, 3],
      [2, 4, 6],
    ]);
  });

  it('leave no call and no operator set behind', () => {
    const model = inlined(path);
    expect([...nodesOf(model.graph)].map(({ domain }) => domain)).not.toContain('own');
    expect([...model.opsets]).toEqual([['', 18]]);
    const names = [...nodesOf(model.graph)].map(({ name }) => name).filter((name) => name !== '');
    expect(new Set(names).size).toBe(names.length);
  });

  it('are refused by name where they cannot be put in place', () => {
    const one = (rest: Partial<FunctionProto>): FunctionProto[] => [own('f', { input: ['x'], output: ['y'], ...rest })];
    const call = [node('f', ['x'], ['y'], { domain: 'own' })];
    const refused = (functions: FunctionProto[], nodes = call): unknown => {
      try {
        return inlined(written(model(functions, nodes, ['y'])));
      } catch (error) {
        return error;
      }
    };
    const body = [node('Neg', ['x'], ['y'])];
    const error = (part: string): unknown =>
      expect.objectContaining({ code: 'local-function', message: expect.stringContaining(part) });
    expect(refused(one({ node: call }))).toEqual(error('own::f calls itself'));
    expect(refused(one({ node: body, opsetImport: [opset('', 11)] }))).toEqual(
      error('version 11 of the operator set ai.onnx'),
    );
    expect(refused([...one({ node: body }), ...one({ node: body })])).toEqual(error('defined twice'));
    expect(refused(one({ node: body }), [node('f', ['x', 'x'], ['y'], { domain: 'own' })])).toEqual(
      error('takes 1 inputs'),
    );
    const doubling = Array.from({ length: 40 }, (_, at) =>
      own(`g${at}`, {
        input: ['x'],
        output: ['y'],
        node:
          at === 0
            ? body
            : [
                node(`g${at - 1}`, ['x'], ['m'], { domain: 'own' }),
                node(`g${at - 1}`, ['m'], ['y'], { domain: 'own' }),
              ],
      }),
    );
    expect(refused(doubling, [node('g39', ['x'], ['y'], { domain: 'own' })])).toEqual(error('more than 200000 nodes'));
  });
});
