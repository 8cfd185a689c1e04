/**
 * What training makes small: Σ weight · ‖F_r(x) − y‖² / ‖F(x)‖² over terms, with y the float block's output (MatQuant eq. 5 and
 * 7), or the output of a larger precision (co-distillation). The division makes the numbers comparable over layers.
 */
import { int } from '../../onnx/ir/attribute.js';
import type { Value } from '../../onnx/ir/graph.js';
import type { GraphBuilder } from '../../onnx/rewrite/builder.js';
import type { Precision } from '../../quant/precision.js';
import { meanSquaredError } from '../losses.js';
import { stopped } from './fake-quant.js';

export interface Term {
  readonly bits: Precision;
  readonly weight: number;
  /** The float block, or the precision whose output stands for it, taken for a constant. */
  readonly target: 'float' | Precision;
}

/** One term against the float block for every precision with a weight, and one more, weighted equally, for every pair. */
export function termsOf(
  bits: readonly Precision[],
  lambda: Readonly<Record<number, number>>,
  pairs: readonly { readonly from: Precision; readonly to: Precision }[] = [],
): readonly Term[] {
  const weightOf = (r: number): number => lambda[r] ?? 0;
  const plain = bits
    .filter((r) => weightOf(r) > 0)
    .map((r): Term => ({ bits: r, weight: weightOf(r), target: 'float' }));
  return [...plain, ...pairs.map(({ from, to }): Term => ({ bits: to, weight: weightOf(to) || 1, target: from }))];
}

/** Every precision that a term computes. */
export function precisionsOf(terms: readonly Term[]): readonly Precision[] {
  const all = terms.flatMap(({ bits, target }) => (target === 'float' ? [bits] : [bits, target]));
  return [...new Set(all)].sort((a, b) => b - a);
}

/** The loss from the block's outputs. */
export function blockLoss(
  b: GraphBuilder,
  terms: readonly Term[],
  exact: Value,
  outputs: ReadonlyMap<Precision, Value>,
): Value {
  const outputOf = (bits: Precision): Value => outputs.get(bits) as Value;
  const squares = b.op('ReduceMean', [b.op('Mul', [exact, exact])], { keepdims: int(0) });
  const energy = b.op('Max', [squares, b.scalar(1e-20)]);
  const weighted = terms.map(({ bits, weight, target }) => {
    const y = target === 'float' ? exact : stopped(b, outputOf(target));
    return b.op('Mul', [meanSquaredError(b, outputOf(bits), y), b.scalar(weight)]);
  });
  const sum = weighted.reduce((total, each) => b.op('Add', [total, each]));
  return b.op('Div', [sum, energy]);
}
