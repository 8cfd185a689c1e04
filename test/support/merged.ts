/** A gated block whose gate and up lie in one weight, in the forms that exporters and optimizers write. */
import { float, int, ints } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { float32s, int64s, type Tensor } from '../../src/onnx/ir/tensor.js';
import type { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { noise } from './decoder.js';
import { transposed } from './spellings.js';
import { type Block, type BlockWeights, silu, TOY } from './toy.js';

const { hidden, ffn } = TOY;

/** What a form makes of x: gate and up, from weights that lie together as it wants them. */
type Halves = (b: GraphBuilder, x: Value, weights: BlockWeights, name: string) => readonly [gate: Value, up: Value];

const numbers = (of: Tensor): Float32Array => new Float32Array(of.bytes().slice().buffer);

/** [hidden, 2 ffn]: one matrix after the other, or their columns in turn. */
export function together(first: Tensor, second: Tensor, inTurn = false): Tensor {
  const [a, b] = [numbers(first), numbers(second)];
  const merged = new Float32Array(2 * hidden * ffn);
  for (let k = 0; k < hidden; k++) {
    for (let n = 0; n < ffn; n++) {
      const row = 2 * ffn * k;
      merged[row + (inTurn ? 2 * n : n)] = a[ffn * k + n] as number;
      merged[row + (inTurn ? 2 * n + 1 : ffn + n)] = b[ffn * k + n] as number;
    }
  }
  return float32s(merged, [hidden, 2 * ffn]);
}

const product = (b: GraphBuilder, x: Value, weight: Tensor, name: string): Value =>
  b.op('MatMul', [x, b.constant(weight, name)], {}, { name });

const plain = (b: GraphBuilder, x: Value, { gate, up }: BlockWeights, name: string): Value =>
  product(b, x, together(gate, up), name);

const pair = (values: readonly Value[]): readonly [Value, Value] => values as [Value, Value];

const slice = (b: GraphBuilder, value: Value, from: number, to: number, axis = -1, step = 1): Value =>
  b.op('Slice', [value, ...[[from], [to], [axis], [step]].map((each) => b.integers(each))]);

const halves: Readonly<Record<string, { readonly opset?: number; readonly make: Halves }>> = {
  'Split with sizes': {
    make: (b, x, w, name) => pair(b.ops('Split', [plain(b, x, w, name), b.integers([ffn, ffn])], 2, { axis: int(-1) })),
  },
  'Split with an attribute': {
    opset: 12,
    make: (b, x, w, name) => pair(b.ops('Split', [plain(b, x, w, name)], 2, { axis: int(2), split: ints([ffn, ffn]) })),
  },
  'Split in equal parts': {
    opset: 13,
    make: (b, x, w, name) => pair(b.ops('Split', [plain(b, x, w, name)], 2, { axis: int(-1) })),
  },
  'Split by num_outputs': {
    make: (b, x, w, name) => pair(b.ops('Split', [plain(b, x, w, name)], 2, { axis: int(-1), num_outputs: int(2) })),
  },
  'up first': {
    make: (b, x, { gate, up }, name) => {
      const both = product(b, x, together(up, gate), name);
      const [first, second] = pair(b.ops('Split', [both, b.integers([ffn, ffn])], 2, { axis: int(-1) }));
      return [second, first];
    },
  },
  'two Slices': {
    make: (b, x, w, name) => {
      const both = plain(b, x, w, name);
      return [slice(b, both, 0, ffn), slice(b, both, ffn, Number.MAX_SAFE_INTEGER, 2)];
    },
  },
  'two Slices from the end': {
    make: (b, x, w, name) => {
      const both = plain(b, x, w, name);
      return [slice(b, both, 0, -ffn), slice(b, both, -ffn, 2 * ffn)];
    },
  },
  'columns in turn': {
    make: (b, x, { gate, up }, name) => {
      const both = product(b, x, together(gate, up, true), name);
      return [slice(b, both, 0, 2 * ffn, -1, 2), slice(b, both, 1, 2 * ffn, -1, 2)];
    },
  },
  'Gather after a Reshape to [2, ffn]': {
    make: (b, x, w, name) => {
      const both = b.op('Reshape', [plain(b, x, w, name), b.integers([0, 0, 2, -1])]);
      return [0, 1].map((at) => b.op('Gather', [both, b.integer(at)], { axis: int(2) })) as [Value, Value];
    },
  },
  'Split after a Reshape to [ffn, 2]': {
    make: (b, x, { gate, up }, name) => {
      const both = b.op('Reshape', [product(b, x, together(gate, up, true), name), b.integers([0, 0, ffn, 2])]);
      const parts = b.ops('Split', [both, b.integers([1, 1])], 2, { axis: int(-1) });
      return pair(parts.map((part) => b.op('Squeeze', [part, b.integers([-1])])));
    },
  },
  'Gather of columns': {
    make: (b, x, w, name) => {
      const both = plain(b, x, w, name);
      const columns = (from: number): Value => b.constant(int64s(Array.from({ length: ffn }, (_, at) => from + at)));
      return [
        b.op('Gather', [both, columns(0)], { axis: int(-1) }),
        b.op('Gather', [both, columns(ffn)], { axis: int(2) }),
      ];
    },
  },
  'a transposed weight and a bias': {
    make: (b, x, { gate, up }, name) => {
      const weight = b.op('Transpose', [b.constant(transposed(together(gate, up)), name)], { perm: ints([1, 0]) });
      const both = b.op('MatMul', [x, weight], {}, { name });
      const biased = b.op('Add', [both, b.constant(float32s(noise(2 * ffn, 3)))]);
      return pair(b.ops('Split', [biased, b.integers([ffn, ffn])], 2, { axis: int(-1) }));
    },
  },
  'a Gemm between reshapes': {
    make: (b, x, { gate, up }, name) => {
      const flat = b.op('Reshape', [x, b.integers([-1, hidden])]);
      const inputs = [flat, b.constant(transposed(together(gate, up)), name), b.constant(float32s(noise(2 * ffn, 3)))];
      const both = b.op('Gemm', inputs, { transB: int(1) }, { name });
      const shape = b.op('Concat', [b.op('Shape', [x], { start: int(0), end: int(2) }), b.integers([ffn])], {
        axis: int(0),
      });
      const parts = b.ops('Split', [both, b.integers([ffn, ffn])], 2, { axis: int(1) });
      return pair(parts.map((part) => b.op('Reshape', [part, shape])));
    },
  },
  'a FusedMatMul': {
    make: (b, x, { gate, up }, name) => {
      const inputs = [x, b.constant(transposed(together(gate, up)), name)];
      const both = b.op('com.microsoft::FusedMatMul', inputs, { transB: int(1), alpha: float(0.9) }, { name });
      return pair(b.ops('Split', [both, b.integers([ffn, ffn])], 2, { axis: int(-1) }));
    },
  },
};

/** Forms by name: the operator set they need, and the block. */
export const mergedForms: readonly { readonly name: string; readonly opset: number; readonly block: Block }[] =
  Object.entries(halves).flatMap(([name, { opset = 18, make }]) => {
    const block =
      (activation: (b: GraphBuilder, x: Value) => Value): Block =>
      (b, x, weights, layer) => {
        const [gate, up] = make(b, x, weights, `l${layer}_gate_up`);
        const down = b.constant(weights.down, `l${layer}_down`);
        return b.op('MatMul', [b.op('Mul', [activation(b, gate), up]), down], {}, { name: `l${layer}_down` });
      };
    const quick = (b: GraphBuilder, x: Value): Value => b.op('com.microsoft::QuickGelu', [x], { alpha: float(1) });
    const forms = [{ name, opset, block: block(silu) }];
    return name === 'Split with sizes' ? [...forms, { name: 'a QuickGelu', opset, block: block(quick) }] : forms;
  });
