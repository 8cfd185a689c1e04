/** Blocks of experts that routing chooses between, as exporters write them: one branch per expert, on the rows that go there. */
import { int, string } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { float32s, type Tensor } from '../../src/onnx/ir/tensor.js';
import type { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { type Block, type BlockWeights, silu, TOY, toyWeight } from './toy.js';

export const EXPERTS = 3;

/** Weights of each expert of a layer. */
export const expertWeights = (layer: number): readonly BlockWeights[] =>
  Array.from({ length: EXPERTS }, (_, expert) => {
    const seed = 1000 + 100 * layer + 10 * expert;
    return {
      gate: toyWeight(TOY.hidden, TOY.ffn, seed + 1),
      up: toyWeight(TOY.hidden, TOY.ffn, seed + 2),
      down: toyWeight(TOY.ffn, TOY.hidden, seed + 3),
    };
  });

/** [E, rows, columns]. */
export const stacked = (of: readonly Tensor[]): Tensor =>
  float32s(Float32Array.from(of.flatMap((each) => [...new Float32Array(each.bytes().slice().buffer)])), [
    of.length,
    ...(of[0]?.shape ?? []),
  ]);

/** The weight of one role of one expert, as a form of storage gives it. */
export type Storage = (b: GraphBuilder, layer: number) => (role: keyof BlockWeights, expert: number) => Value;

export const separate: Storage = (b, layer) => (role, expert) =>
  b.constant((expertWeights(layer)[expert] as BlockWeights)[role], `l${layer}_e${expert}_${role}`);

const stacks = (b: GraphBuilder, layer: number): Readonly<Record<keyof BlockWeights, Value>> => {
  const of = (role: keyof BlockWeights): Value =>
    b.constant(stacked(expertWeights(layer).map((each) => each[role])), `l${layer}_${role}`);
  return { gate: of('gate'), up: of('up'), down: of('down') };
};

export const gathered: Storage = (b, layer) => {
  const weights = stacks(b, layer);
  return (role, expert) => b.op('Gather', [weights[role], b.integer(expert)], { axis: int(0) });
};

export const sliced: Storage = (b, layer) => {
  const weights = stacks(b, layer);
  return (role, expert) => {
    const rows = [[expert], [expert + 1], [0]].map((each) => b.integers(each));
    return b.op('Squeeze', [b.op('Slice', [weights[role], ...rows]), b.integers([0])]);
  };
};

export const split: Storage = (b, layer) => {
  const weights = stacks(b, layer);
  const parts = Object.fromEntries(
    Object.entries(weights).map(([role, stack]) => [
      role,
      b.ops('Split', [stack], EXPERTS, { axis: int(0), num_outputs: int(EXPERTS) }),
    ]),
  );
  return (role, expert) => b.op('Squeeze', [parts[role]?.[expert] as Value, b.integers([0])]);
};

/**
 * Each token goes to the expert with the largest score, and what it gives is put back in its place. Token rows go to experts 0 and
 * 1 alone: nothing ever reaches the last.
 */
export function routedBlock(storage: Storage): Block {
  return (b, x, _, layer) => {
    const weight = storage(b, layer);
    const flat = b.op('Reshape', [x, b.integers([-1, TOY.hidden])]);
    const router = b.constant(toyWeight(TOY.hidden, EXPERTS - 1, 500 + layer), `l${layer}_routes`);
    const best = b.op('ArgMax', [b.op('MatMul', [flat, router], {}, { name: `l${layer}_router` })], {
      axis: int(-1),
      keepdims: int(0),
    });
    let sum = b.op('Sub', [flat, flat]);
    for (let expert = 0; expert < EXPERTS; expert++) {
      const found = b.op('NonZero', [b.op('Equal', [best, b.integer(expert)])]);
      const rows = b.op('Gather', [flat, b.op('Squeeze', [found, b.integers([0])])], { axis: int(0) });
      const product = (input: Value, role: keyof BlockWeights): Value =>
        b.op('MatMul', [input, weight(role, expert)], {}, { name: `l${layer}_e${expert}_${role}` });
      const made = product(b.op('Mul', [silu(b, product(rows, 'gate')), product(rows, 'up')]), 'down');
      sum = b.op('ScatterND', [sum, b.op('Transpose', [found]), made], { reduction: string('add') });
    }
    return b.op('Reshape', [sum, b.op('Shape', [x])]);
  };
}
