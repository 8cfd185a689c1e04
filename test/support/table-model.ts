/** A small model that looks rows of a table up and multiplies by a head, in every way that exporters tie the two. */
import { graph as graphAttribute } from '../../src/onnx/ir/attribute.js';
import type { DType } from '../../src/onnx/ir/dtype.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { type Tensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { transpose } from '../../src/quant/pack.js';
import { noise } from './decoder.js';

export const ROWS = 48;
export const COLS = 64;
export const BLOCK = 32;
/** Among them the rows at both sides of where a table is cut into parts of 16 and 32. */
export const IDS: readonly number[] = [3, 0, 47, 7, 7, 12, 41];

/** tied: the head transposes the table; reversed: the embedding transposes the head; copy: the head repeats it. */
export const TIES = ['tied', 'reversed', 'copy', 'untied', 'merged'] as const;
export type Tie = (typeof TIES)[number];

export const floats = (seed: number): Float32Array => noise(ROWS * COLS, seed);
export const tensor = (values: Float32Array, shape: readonly number[], dtype: DType): Tensor =>
  dtype === 'float16' ? tensorOf('float16', shape, float32ToFloat16(values)) : tensorOf('float32', shape, values);

/** ids -> rows of the table, and logits of these rows. */
export function sample(tie: Tie, dtype: DType = 'float32'): Model {
  const b = new GraphBuilder({ opset: 18 });
  const ids = b.input('ids', 'int64', ['n']);
  const table = floats(1);
  const flip = transpose(table, ROWS, COLS);
  const own = tie === 'reversed' ? b.constant(tensor(flip, [COLS, ROWS], dtype), 'head') : undefined;
  const stored = own ?? b.constant(tensor(table, [ROWS, COLS], dtype), 'table');
  const other = tie === 'copy' ? flip : floats(2);
  const separate = tie === 'copy' || tie === 'untied';
  const head = separate ? b.constant(tensor(other, [COLS, ROWS], dtype), 'other') : undefined;
  const body = (c: GraphBuilder): readonly [Value, Value] => {
    const rows = c.op('Gather', [tie === 'reversed' ? c.op('Transpose', [stored]) : stored, ids]);
    const weight = head ?? (tie === 'reversed' ? stored : c.op('Transpose', [stored]));
    return [rows, c.op('MatMul', [c.op('Relu', [rows]), weight])];
  };
  const types = [COLS, ROWS].map((columns) => ({ dtype, shape: ['n', columns] }));
  if (tie !== 'merged') {
    body(b).forEach((value, at) => void b.output(value, ['rows', 'logits'][at] as string, types[at]));
    return b.model();
  }
  const flag = b.input('flag', 'bool', []);
  const branch = (name: string) =>
    graphAttribute(
      b.branch(name, (c) => body(c).forEach((value, at) => void c.output(value, `${name}_${at}`, types[at]))),
    );
  const branches = { then_branch: branch('then'), else_branch: branch('else') };
  b.ops('If', [flag], 2, branches).forEach((value, at) => {
    b.output(value, ['rows', 'logits'][at] as string, types[at]);
  });
  return b.model();
}
