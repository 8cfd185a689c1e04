/** Stacked experts, one by one: the same numbers, found by the finder, and compiled. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, it } from '@jest/globals';
import { splitExperts } from '../../passes/split-experts.js';
import { analyse } from '../../src/analysis/projections.js';
import { compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import { int, ints, string } from '../../src/onnx/ir/attribute.js';
import { nodesOf, type Value } from '../../src/onnx/ir/graph.js';
import { float32s, type Tensor } from '../../src/onnx/ir/tensor.js';
import type { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { integers } from '../../src/runtime/runtime.js';
import { COMPILE } from '../support/compile.js';
import { noise } from '../support/decoder.js';
import { EXPERTS, expertWeights, stacked } from '../support/experts.js';
import { together } from '../support/merged.js';
import { expectSameNumbers } from '../support/numeric.js';
import { temporaryFolder } from '../support/paths.js';
import { transposed } from '../support/spellings.js';
import { type Block, type BlockWeights, silu, TOY, toyModel, writeToy } from '../support/toy.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const feeds = { input_ids: integers([3, 50, 7, 91], [1, 4]) };

const constant = (b: GraphBuilder, layer: number, name: string, of: (each: BlockWeights) => Tensor): Value =>
  b.constant(stacked(expertWeights(layer).map(of)), `l${layer}_${name}`);
const mean = (b: GraphBuilder, y: Value): Value => b.op('ReduceMean', [y, b.integers([0])], { keepdims: int(0) });
const einsum = (b: GraphBuilder, equation: string, x: Value, w: Value): Value =>
  b.op('Einsum', [x, w], { equation: string(equation) });

const byEinsum: Block = (b, x, _, layer) => {
  const [gate, up] = (['gate', 'up'] as const).map((role) =>
    einsum(
      b,
      'bsk,ekn->ebsn',
      x,
      constant(b, layer, role, (each) => each[role]),
    ),
  ) as [Value, Value];
  const down = constant(b, layer, 'down', (each) => transposed(each.down));
  return mean(b, einsum(b, 'ebsf,ehf->ebsh', b.op('Mul', [silu(b, gate), up]), down));
};

const byMatMul =
  (shared: boolean): Block =>
  (b, x, _, layer) => {
    const flat = b.op('Reshape', [x, b.integers([-1, TOY.hidden])]);
    const repeated = b.op('Concat', Array<Value>(EXPERTS).fill(flat), { axis: int(0) });
    const input = shared ? flat : b.op('Reshape', [repeated, b.integers([EXPERTS, -1, TOY.hidden])]);
    const both = b.op('MatMul', [input, constant(b, layer, 'gate_up', ({ gate, up }) => together(gate, up))]);
    const [gate, up] = b.ops('Split', [both, b.integers([TOY.ffn, TOY.ffn])], 2, { axis: int(-1) }) as [Value, Value];
    const scaled = b.op('Mul', [b.op('Mul', [silu(b, gate), up]), b.constant(float32s(noise(TOY.ffn, 4)))]);
    const y = b.op('MatMul', [scaled, constant(b, layer, 'down', (each) => each.down)]);
    return b.op('Reshape', [mean(b, y), b.op('Shape', [x])]);
  };

const forms: readonly (readonly [string, Block, readonly string[]])[] = [
  ['Einsum', byEinsum, ['gate', 'up', 'down']],
  ['MatMul that all share the input of', byMatMul(true), ['gate_up', 'down']],
  ['MatMul with an input for each', byMatMul(false), ['gate_up', 'down']],
];

it.each(forms)('experts of an %s become blocks of one layer', async (_, block, roles) => {
  const model = toyModel({ block });
  const ops = await expectSameNumbers(splitExperts, model, feeds, 1e-5);
  expect(ops).not.toContain('Einsum');
  runPasses(model, [step(splitExperts)]);
  const { projections, layers } = analyse(model);
  expect(layers).toBe(TOY.layers);
  const found = projections.filter(({ layer }) => layer >= 0).map(({ layer, role }) => `${layer} ${role}`);
  const expected = [0, 1].flatMap((layer) =>
    Array(EXPERTS)
      .fill(roles)
      .flat()
      .map((role) => `${layer} ${role}`),
  );
  expect(found.sort()).toEqual(expected.sort());
  const shapes = [...model.graph.initializers].map(({ initializer }) => initializer?.shape.length);
  expect(shapes).not.toContain(3);
});

it.each(forms)('a model with an %s is compiled and checked', async (name, block, roles) => {
  const file = name.replaceAll(' ', '-');
  const model = writeToy(root, file, toyModel({ block }));
  const recipe = parseRecipe({ method: 'data-free', block: 32, bits: [8, 4] }, 'test');
  const result = await compile({ ...COMPILE, model, output: join(root, file), recipe }, silentContext());
  expect(result.quantized).toBe(roles.length * EXPERTS * TOY.layers);
  const [int4, int8] = result.precisions.map(({ probe }) => probe?.kl ?? Number.NaN);
  expect(int8).toBeLessThan((int4 as number) / 3);
  expect(int8).toBeGreaterThan(0);
});

it.each<[string, (b: GraphBuilder, y: Value) => Value]>([
  ['a bias for each expert', (b, y) => b.op('Add', [y, b.constant(float32s(noise(EXPERTS, 5), [EXPERTS, 1, 1, 1]))])],
  ['a sum over experts', (b, y) => b.op('Sub', [y, b.op('ReduceMean', [y, b.integers([0])])])],
  ['a change of order', (b, y) => b.op('Transpose', [y], { perm: ints([0, 2, 1, 3]) })],
])('stays whole with %s between', (_, change) => {
  const block: Block = (b, x, __, layer) => {
    const gate = einsum(
      b,
      'bsk,ekn->ebsn',
      x,
      constant(b, layer, 'gate', (each) => each.gate),
    );
    const down = constant(b, layer, 'down', (each) => each.down);
    return mean(b, einsum(b, 'ebsf,efh->ebsh', silu(b, change(b, gate)), down));
  };
  const model = toyModel({ block });
  const before = [...nodesOf(model.graph)].length;
  runPasses(model, [step(splitExperts)]);
  expect([...nodesOf(model.graph)]).toHaveLength(before);
});
