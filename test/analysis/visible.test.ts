/** No product with a constant weight is invisible: each is listed, with a code and a reason that says what it is. */
import { describe, expect, it } from '@jest/globals';
import { analyse } from '../../src/analysis/projections.js';
import { int, ints, string } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { float32s, int64s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { noise } from '../support/decoder.js';
import { type Block, silu, TOY, toyModel } from '../support/toy.js';

const [K, N, E] = [8, 12, 4];
const weight = (b: GraphBuilder, ...dims: number[]): Value =>
  b.constant(
    float32s(
      noise(
        dims.reduce((product, dim) => product * dim, 1),
        1,
      ),
      dims,
    ),
    'w',
  );

type Build = (b: GraphBuilder, x: Value, routed: Value) => Value;
const named = { name: 'p' };
const einsum = (equation: string) => ({ equation: string(equation) });

/** The rows of the list for one product of x [1, s, K], with `routed` [1] an expert chosen by data. */
function listed(build: Build): readonly (readonly [string, string, string, number | undefined, number | undefined])[] {
  const b = new GraphBuilder({ opset: 18 });
  const x = b.input('x', 'float32', [1, 's', K]);
  const best = b.op('ArgMax', [b.op('ReduceSum', [x, b.integers([1])], { keepdims: int(0) })], {
    axis: int(-1),
    keepdims: int(0),
  });
  const y = build(b, x, b.op('Mod', [best, b.integer(E)]));
  b.output(b.op('Softmax', [y]), 'y', { dtype: 'float32', shape: undefined });
  const { projections, refusals } = analyse(b.model());
  expect(projections).toEqual([]);
  return refusals.map(({ at, code, reason, k, n }) => [at, code, reason, k, n] as const);
}

describe('products that are listed', () => {
  it.each<[string, string, string, Build]>([
    [
      'Einsum with another order of the result',
      'product-form',
      'Einsum bsk,kn->bns',
      (b, x) => b.op('Einsum', [x, weight(b, K, N)], einsum('bsk,kn->bns'), named),
    ],
    [
      'Einsum with the weight first, by head',
      'product-form',
      'w [2, 4, 12]',
      (b, x) =>
        b.op(
          'Einsum',
          [weight(b, 2, 4, N), b.op('Reshape', [x, b.integers([0, 0, 2, 4])])],
          einsum('hdn,bshd->bsn'),
          named,
        ),
    ],
    [
      'Einsum over experts',
      'expert-weights',
      'w [4, 8, 12] holds 4 matrices',
      (b, x) => b.op('Einsum', [x, weight(b, E, K, N)], einsum('bsk,ekn->ebsn'), named),
    ],
    [
      'Einsum of heads',
      'product-form',
      'w [8, 2, 6]',
      (b, x) => b.op('Einsum', [x, weight(b, K, 2, 6)], einsum('bsk,khd->bhsd'), named),
    ],
    [
      'batched MatMul',
      'expert-weights',
      'holds 4 matrices',
      (b, x) => b.op('MatMul', [x, weight(b, E, K, N)], {}, named),
    ],
    [
      'batched MatMul of a folded stack',
      'weight-rank',
      '[1, 8, 12]',
      (b, x) => b.op('MatMul', [x, weight(b, 1, K, N)], {}, named),
    ],
    [
      'MatMul with the weight on the left',
      'product-form',
      'left operand of MatMul',
      (b, x) => b.op('MatMul', [weight(b, N, 3), b.op('Reshape', [x, b.integers([3, -1])])], {}, named),
    ],
    [
      'MatMul with a matrix that routing chooses',
      'expert-weights',
      'of which Gather',
      (b, x, routed) => b.op('MatMul', [x, b.op('Gather', [weight(b, E, K, N), routed])], {}, named),
    ],
    [
      'Einsum with matrices that routing chooses',
      'expert-weights',
      'Einsum',
      (b, x, routed) =>
        b.op('Einsum', [x, b.op('Gather', [weight(b, E, K, N), routed])], einsum('bsk,bkn->bsn'), named),
    ],
    [
      'MatMul with a Slice of a stack',
      'expert-weights',
      'of which Squeeze',
      (b, x) =>
        b.op(
          'MatMul',
          [
            x,
            b.op('Squeeze', [
              b.op('Slice', [weight(b, E, K, N), ...[[1], [2], [0]].map((each) => b.integers(each))]),
              b.integers([0]),
            ]),
          ],
          {},
          named,
        ),
    ],
    [
      'Conv with one element',
      'product-form',
      'kernel of one element',
      (b, x) => b.op('Conv', [b.op('Transpose', [x], { perm: ints([0, 2, 1]) }), weight(b, N, K, 1)], {}, named),
    ],
    [
      'Conv by channel',
      'product-form',
      'kernel of 3 in 8 groups',
      (b, x) =>
        b.op('Conv', [b.op('Transpose', [x], { perm: ints([0, 2, 1]) }), weight(b, K, 1, 3)], { group: int(K) }, named),
    ],
    [
      'recurrent',
      'product-form',
      'GRU',
      (b, x) => b.op('GRU', [x, weight(b, 1, 3 * N, K), weight(b, 1, 3 * N, N)], { hidden_size: int(N) }, named),
    ],
    [
      'Mul and ReduceSum',
      'product-form',
      'Mul and ReduceSum',
      (b, x) =>
        b.op('ReduceSum', [
          b.op('Mul', [b.op('Unsqueeze', [x, b.integers([-1])]), weight(b, K, N)], {}, named),
          b.integers([2]),
        ]),
    ],
    [
      'experts of ONNX Runtime',
      'expert-weights',
      'w [4, 12, 8], w_1 [4, 8, 12]',
      (b, x) =>
        b.op(
          'com.microsoft::MoE',
          [x, b.op('Reshape', [x, b.integers([-1, E])]), weight(b, E, N, K), undefined, weight(b, E, K, N)],
          {},
          named,
        ),
    ],
    [
      'an operator of another domain',
      'product-form',
      'vendor::Linear is not known',
      (b, x) => b.op('vendor::Linear', [x, weight(b, K, N)], {}, named),
    ],
  ])('%s', (_, code, reason, build) => {
    const rows = listed(build);
    expect(rows.map(([at, found]) => [at, found])).toEqual([['p', code]]);
    expect(rows[0]?.[2]).toContain(reason);
  });

  it('have the shape of one matrix where it is known', () => {
    const shapes = (build: Build) => listed(build).map(([, , , k, n]) => [k, n]);
    expect(shapes((b, x, routed) => b.op('MatMul', [x, b.op('Gather', [weight(b, E, K, N), routed])]))).toEqual([
      [K, N],
    ]);
    expect(
      shapes((b, x) => b.op('Conv', [b.op('Transpose', [x], { perm: ints([0, 2, 1]) }), weight(b, N, K, 1)])),
    ).toEqual([[K, N]]);
  });
});

describe('what is no product with a weight', () => {
  it.each<[string, Build]>([
    [
      'frequencies of a rotary embedding',
      (b, x) =>
        b.op('MatMul', [
          b.constant(float32s(noise(6, 1), [1, 6, 1]), 'f'),
          b.op('ReduceMean', [x, b.integers([2])], { keepdims: int(1) }),
        ]),
    ],
    [
      'an outer product',
      (b, x) =>
        b.op(
          'Einsum',
          [b.op('ReduceMean', [x, b.integers([0, 2])], { keepdims: int(0) }), b.constant(float32s(noise(6, 1)), 'f')],
          einsum('s,f->sf'),
        ),
    ],
    [
      'a scale by channel',
      (b, x) => b.op('ReduceSum', [b.op('Mul', [x, b.constant(float32s(noise(K, 1)), 'g')]), b.integers([-1])]),
    ],
    ['a look-up', (b, _, routed) => b.op('Gather', [weight(b, E, K, N), routed])],
    ['a choice of columns', (b, x) => b.op('Gather', [x, b.constant(int64s([0, 2]), 'i')], { axis: int(-1) })],
  ])('%s', (_, build) => {
    expect(listed(build)).toEqual([]);
  });
});

it('experts that an Einsum multiplies keep their roles and layers', () => {
  const block: Block = (b, x, { gate, up, down }, layer) => {
    const stack = (of: typeof gate, name: string): Value =>
      b.constant(float32s(new Float32Array([...floats(of), ...floats(of)]), [2, ...of.shape]), `l${layer}_${name}`);
    const product = (input: Value, w: Value, equation: string): Value => b.op('Einsum', [input, w], einsum(equation));
    const [g, u] = [product(x, stack(gate, 'gate'), 'bsk,ekn->ebsn'), product(x, stack(up, 'up'), 'bsk,ekn->ebsn')];
    const out = product(b.op('Mul', [silu(b, g), u]), stack(down, 'down'), 'ebsk,ekn->ebsn');
    return b.op('ReduceSum', [out, b.integers([0])], { keepdims: int(0) });
  };
  const { refusals } = analyse(toyModel({ block }));
  const roles = ['gate', 'up', 'down'];
  expect(refusals.map(({ layer, role, code }) => [layer, role, code])).toEqual(
    [0, 1].flatMap((layer) => roles.map((role) => [layer, role, 'expert-weights'])),
  );
  expect(refusals).toHaveLength(3 * TOY.layers);
});

const floats = (of: { bytes(): Uint8Array }): Float32Array => new Float32Array(of.bytes().slice().buffer);
