/** A mixture of experts in branches against ONNX Runtime's operator. */
import { describe, expect, it } from '@jest/globals';
import { expandMoe } from '../../passes/expand-moe.js';
import { analyse } from '../../src/analysis/projections.js';
import { type Attribute, float, int, string } from '../../src/onnx/ir/attribute.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { float32s } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { floats } from '../../src/runtime/runtime.js';
import { noise } from '../support/decoder.js';
import { expectSameNumbers } from '../support/numeric.js';

const [ROWS, HIDDEN, FFN, EXPERTS] = [6, 8, 12, 4];

interface Form {
  readonly attributes: Readonly<Record<string, Attribute>>;
  /** Gate and up in one stack. */
  readonly merged?: boolean;
  readonly biases?: boolean;
  /** Outputs and inputs of the stacks exchanged. */
  readonly turned?: boolean;
  readonly rank?: 2 | 3;
  readonly opset?: number;
}

function mixture({ attributes, merged = true, biases = false, turned = false, rank = 2, opset = 18 }: Form): Model {
  const b = new GraphBuilder({ opset });
  let seed = 1;
  const constant = (...shape: number[]): Value =>
    b.constant(
      float32s(
        noise(
          shape.reduce((product, dim) => product * dim),
          seed++,
        ),
        shape,
      ),
      `w${seed}`,
    );
  const shape = rank === 2 ? [ROWS, HIDDEN] : [2, ROWS / 2, HIDDEN];
  const x = b.input('x', 'float32', shape);
  const bias = (size: number): Value | undefined => (biases ? constant(EXPERTS, size) : undefined);
  const wide = merged ? 2 * FFN : FFN;
  const stack = (n: number, k: number): Value => constant(EXPERTS, ...(turned ? [k, n] : [n, k]));
  const first = [stack(wide, HIDDEN), bias(wide)];
  const second = [stack(HIDDEN, FFN), bias(HIDDEN)];
  const third = merged ? [] : [stack(FFN, HIDDEN), bias(FFN)];
  const inputs = [x, b.input('router', 'float32', [ROWS, EXPERTS]), ...first, ...second, ...third];
  b.output(b.op('com.microsoft::MoE', inputs, attributes, { name: 'moe' }), 'y', { dtype: 'float32', shape });
  return b.model();
}

const feeds = (rank: 2 | 3) => ({
  x: floats(noise(ROWS * HIDDEN, 90), rank === 2 ? [ROWS, HIDDEN] : [2, ROWS / 2, HIDDEN]),
  router: floats(
    noise(ROWS * EXPERTS, 91).map((value) => 3 * value),
    [ROWS, EXPERTS],
  ),
});

const swiglu = { activation_type: string('swiglu'), activation_alpha: float(1), activation_beta: float(0) };

describe('expand-moe', () => {
  it.each<[string, Form]>([
    ['two of four, gate and up in turn', { attributes: { ...swiglu, k: int(2), swiglu_fusion: int(1) } }],
    [
      'weights that add up to 1, tokens by text',
      { attributes: { ...swiglu, k: int(2), swiglu_fusion: int(1), normalize_routing_weights: int(1) }, rank: 3 },
    ],
    ['biases', { attributes: { ...swiglu, k: int(1), swiglu_fusion: int(1) }, biases: true }],
    [
      'the block of gpt-oss',
      {
        attributes: {
          ...{ activation_type: string('swiglu'), k: int(2), swiglu_fusion: int(1) },
          ...{ activation_alpha: float(1.702), activation_beta: float(1), swiglu_limit: float(0.7) },
        },
        biases: true,
      },
    ],
  ])('computes what the operator does: %s', async (_, form) => {
    const ops = await expectSameNumbers(expandMoe, mixture(form), feeds(form.rank ?? 2), 1e-5);
    expect(ops).not.toContain('MoE');
    expect(ops.filter((op) => op === 'MatMul')).toHaveLength(2 * EXPERTS);
  });

  it.each<[string, Form]>([
    ['side by side', { attributes: { ...swiglu, k: int(2), swiglu_fusion: int(2) } }],
    ['a stack each', { attributes: { ...swiglu, k: int(2) }, merged: false }],
    ['silu and a stack each', { attributes: { activation_type: string('silu'), k: int(2) }, merged: false }],
  ])('finds gate, up and down of every expert: %s', (_, form) => {
    const model = mixture(form);
    runPasses(model, [step(expandMoe)]);
    const roles = analyse(model).projections.map(({ role, k, n }) => `${role} ${k} x ${n}`);
    const each =
      form.merged === false ? ['gate 8 x 12', 'up 8 x 12', 'down 12 x 8'] : ['gate_up 8 x 24', 'down 12 x 8'];
    expect(roles).toEqual(Array.from({ length: EXPERTS }, () => each).flat());
  });

  it.each<[string, Form]>([
    ['no gate', { attributes: { activation_type: string('silu'), k: int(1) }, merged: true }],
    [
      'no gate, though swiglu would have one',
      { attributes: { activation_type: string('silu'), k: int(1), swiglu_fusion: int(1) } },
    ],
    ['merged stacks in the older order', { attributes: { ...swiglu, k: int(2), swiglu_fusion: int(1) }, turned: true }],
    ['stacks in the older order', { attributes: { ...swiglu, k: int(2) }, merged: false, turned: true }],
    ['another activation', { attributes: { activation_type: string('gelu'), k: int(1) }, merged: false }],
    ['an old operator set', { attributes: { ...swiglu, k: int(1), swiglu_fusion: int(1) }, opset: 17 }],
    ['a sparse mixer', { attributes: { ...swiglu, k: int(2), swiglu_fusion: int(1), use_sparse_mixer: int(1) } }],
  ])('stays with %s', (_, form) => {
    const [report] = runPasses(mixture(form), [step(expandMoe)]);
    expect(report?.changes).toEqual([]);
  });
});
