/** Attention written out against the runtime's own kernels: every kind of operands, mask, cap, window and rotation. */
import { describe, expect, it } from '@jest/globals';
import { expandAttention } from '../../passes/expand-attention.js';
import { type Attribute, float, int } from '../../src/onnx/ir/attribute.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { type Case, type Grouped, grouped, multiHead, type Plain, plain } from '../support/attention.js';
import { expectSameNumbers } from '../support/numeric.js';

const WRITTEN_OUT = /^(Attention|GroupQueryAttention|MultiHeadAttention)$/;

async function expectWrittenOut({ model, feeds }: Case): Promise<void> {
  const ops = await expectSameNumbers(expandAttention, model, feeds, 2e-6);
  expect(ops.filter((op) => WRITTEN_OUT.test(op))).toEqual([]);
}

describe('grouped-query attention, written out, within 2e-6', () => {
  it.each<[string, Grouped]>([
    ['operands apart', {}],
    ['packed operands, rotated', { packed: true, pairs: 16 }],
    ['rotation of neighbours', { pairs: 16, attributes: { rotary_interleaved: int(1) } }],
    ['rotation of a part of each head', { pairs: 8 }],
    ['rotation by positions', { pairs: 16, positions: true }],
    ['a window', { pairs: 16, attributes: { local_window_size: int(3) } }],
    ['a soft cap', { attributes: { softcap: float(0.7) } }],
    ['a scale', { attributes: { scale: float(0.9) } }],
    ['a bias', { bias: true, attributes: { local_window_size: int(4) } }],
    ['a bias and a soft cap', { bias: true, attributes: { softcap: float(0.7) } }],
  ])('%s', async (_, options) => {
    await expectWrittenOut(grouped(options));
  });

  it('stays where a sink takes part', () => {
    const { model } = grouped({ attributes: { smooth_softmax: int(1) } });
    expect(runPasses(model, [step(expandAttention)])[0]?.changes).toEqual([]);
  });
});

describe('multi-head attention, written out, within 2e-6', () => {
  it.each<[string, boolean, Readonly<Record<string, Attribute>>]>([
    ['as it is', false, {}],
    ['with a bias and a scale', true, { scale: float(0.4) }],
    ['causal', false, { unidirectional: int(1) }],
  ])('%s', async (_, biased, attributes) => {
    await expectWrittenOut(multiHead(biased, attributes));
  });
});

describe.each([23, 24])('attention of operator set %d, written out, within 2e-6', (opset) => {
  it.each<[string, Plain]>([
    ['heads apart', {}],
    ['heads together, causal', { rank: 3, attributes: { is_causal: int(1) } }],
    ['a boolean mask', { mask: 'bool' }],
    ['a boolean mask, causal', { mask: 'bool', attributes: { is_causal: int(1) } }],
    ['numbers for a mask', { mask: 'float', attributes: { is_causal: int(1), scale: float(0.4) } }],
    ['a soft cap', { attributes: { softcap: float(0.7), is_causal: int(1) } }],
    ['a soft cap and a boolean mask', { mask: 'bool', attributes: { softcap: float(0.7) } }],
    ['a soft cap and numbers for a mask', { mask: 'float', attributes: { softcap: float(0.7) } }],
  ])('%s', async (_, options) => {
    await expectWrittenOut(plain(opset, options));
  });
});
