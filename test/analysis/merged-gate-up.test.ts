/** Gate and up in one weight: one projection with two roles, whatever takes its halves apart. */
import { describe, expect, it } from '@jest/globals';
import { analyse } from '../../src/analysis/projections.js';
import { int } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import type { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { mergedForms, together } from '../support/merged.js';
import { type Block, silu, TOY, toyModel } from '../support/toy.js';

const { hidden, ffn } = TOY;

it.each(mergedForms)('finds gate and up taken apart by $name', ({ opset, block }) => {
  const { projections, refusals, layers, activation } = analyse(toyModel({ block, opset }));
  expect(projections.map(({ id, role, k, n, group }) => [id, role, k, n, group])).toEqual([
    ['layers.0.gate_up', 'gate_up', hidden, 2 * ffn, 'layers.0.ffn-in'],
    ['layers.0.down', 'down', ffn, hidden, 'layers.0.down-in'],
    ['layers.1.gate_up', 'gate_up', hidden, 2 * ffn, 'layers.1.ffn-in'],
    ['layers.1.down', 'down', ffn, hidden, 'layers.1.down-in'],
    ['head', 'head', hidden, TOY.vocabulary, 'head-in'],
  ]);
  expect([refusals.length, layers, activation]).toEqual([0, 2, 'silu']);
});

describe('what looks alike', () => {
  const divided =
    (sizes: readonly number[], join: (b: GraphBuilder, parts: readonly Value[]) => Value): Block =>
    (b, x, { gate, up, down }, layer) => {
      const weight = b.constant(together(gate, up));
      const both = b.op('MatMul', [x, weight], {}, { name: `l${layer}_both` });
      const parts = b.ops('Split', [both, b.integers(sizes)], sizes.length, { axis: int(-1) });
      return b.op('MatMul', [join(b, parts), b.constant(down)], {}, { name: `l${layer}_down` });
    };
  const both = (parts: readonly Value[]): [Value, Value] => parts.slice(0, 2) as [Value, Value];
  const overlap: Block = (b, x, { gate, up, down }, layer) => {
    const product = b.op('MatMul', [x, b.constant(together(gate, up))], {}, { name: `l${layer}_both` });
    const part = (from: number): Value =>
      b.op('Slice', [product, ...[[from], [from + ffn], [2]].map((each) => b.integers(each))]);
    const gated = b.op('Mul', [silu(b, part(0)), part(ffn / 2)]);
    return b.op('MatMul', [gated, b.constant(down)], {}, { name: `l${layer}_down` });
  };

  it.each<[string, Block, string]>([
    ['a sum', divided([ffn, ffn], (b, parts) => b.op('Add', [silu(b, both(parts)[0]), both(parts)[1]])), '128 and 128'],
    ['no activation of two products', divided([ffn, ffn], (b, parts) => silu(b, both(parts)[1])), '128 and 128'],
    ['parts that overlap', overlap, '128 and 128'],
    [
      'unequal parts',
      divided([ffn / 2, ffn / 2, ffn], (b, [x, y, z]) =>
        b.op('Mul', [b.op('Concat', [x, y], { axis: int(-1) }), silu(b, z as Value)]),
      ),
      '64 and 64 and 128',
    ],
  ])('%s is no gated block, and the reason says what divides the product', (_, block, sizes) => {
    const { projections, refusals } = analyse(toyModel({ block }));
    expect(projections.map(({ id }) => id)).toEqual(['head']);
    const reason = refusals.find(({ at }) => at === 'l0_both')?.reason;
    expect(reason).toContain(`divides its 256 columns into ${sizes}, which are not gate and up`);
  });

  it('a division along tokens is none of columns', () => {
    const block: Block = (b, x, { gate, up, down }) => {
      const product = b.op('MatMul', [x, b.constant(together(gate, up))], {}, { name: 'both' });
      const parts = b.ops('Split', [product], 2, { axis: int(1), num_outputs: int(2) });
      const wide = b.op('Mul', [silu(b, both(parts)[0]), both(parts)[1]]);
      return b.op('MatMul', [
        b.op('Slice', [wide, ...[[0], [ffn], [2]].map((each) => b.integers(each))]),
        b.constant(down),
      ]);
    };
    expect(analyse(toyModel({ block })).projections.map(({ id }) => id)).toEqual(['head']);
  });
});
