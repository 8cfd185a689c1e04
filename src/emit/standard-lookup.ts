/**
 * Rows of packed codes by operators of standard ONNX, for runtimes that have no GatherBlockQuantized: only the rows that are asked
 * for are unpacked. A byte of a row becomes its codes by a look-up in a table [256, 8 / bits] of code - 2^(bits-1), and each block
 * is multiplied by its scale. The result is that of GatherBlockQuantized, rounding included.
 */
import { int } from '../onnx/ir/attribute.js';
import { DTYPES } from '../onnx/ir/dtype.js';
import type { Node, Value } from '../onnx/ir/graph.js';
import { float32ToFloat16 } from '../onnx/ir/half.js';
import { int64s, type Tensor, tensorOf } from '../onnx/ir/tensor.js';
import type { NewNode, Rewriter } from '../onnx/rewrite/rewriter.js';

/** A Gather of rows that is to be replaced. */
export interface Lookup {
  /** Gather(table, indices) along axis 0. */
  readonly node: Node;
  /** Integers of any shape [...]. */
  readonly indices: Value;
  /** uint8 [V, H * bits / 8]. */
  readonly rows: Value;
  /** [V, H / block] in the element type of the result. */
  readonly scales: Value;
  readonly dtype: 'float32' | 'float16';
  readonly table: { readonly bits: 2 | 4 | 8; readonly block: number; readonly codes: Tensor };
  /** Names of new nodes begin with it. */
  readonly name: string;
}

/** Replaces the Gather by [..., H] of the same values that GatherBlockQuantized gives. Codes have no zero points of their own. */
export function standardLookup(rw: Rewriter, { node, indices, rows, scales, dtype, table, name }: Lookup): void {
  const { bits, block, codes } = table;
  const [, blocks = 0] = codes.shape;
  const base = node.name || name;
  const step = (op: string, inputs: readonly Value[], label: string, attributes: NewNode['attributes'] = {}): Value =>
    rw.insert(node, { op, inputs, attributes, name: `${base}/${label}` });
  const constant = (label: string, tensor: Tensor): Value => rw.initializer(rw.model.graph, `${base}/${label}`, tensor);
  const axis = { axis: int(0) };
  const bytes = step('Gather', [rows, indices], 'rows', axis);
  const index = step('Cast', [bytes], 'index', { to: int(DTYPES.int32.onnx) });
  const numbers = step('Gather', [constant('codes', codeTable(bits, dtype)), index], 'numbers', axis);
  // [..., bytes, 8 / bits] as one list of blocks, so that the rank of the indices need not be known.
  const list = step('Reshape', [numbers, constant('list', int64s([-1, block]))], 'list');
  const own = step('Gather', [scales, indices], 'scales', axis);
  const column = step('Reshape', [own, constant('column', int64s([-1, 1]))], 'column');
  const product = step('Mul', [list, column], 'Mul');
  const ids = step('Shape', [indices], 'ids');
  const shape = step('Concat', [ids, constant('width', int64s([blocks * block]))], 'shape', axis);
  rw.replaceNode(node, { op: 'Reshape', inputs: [product, shape], name: `${base}_Q${bits}` });
}

/** code - 2^(bits-1) of every code in a byte, the lowest bits first: [256, 8 / bits]. */
function codeTable(bits: 2 | 4 | 8, dtype: 'float32' | 'float16'): Tensor {
  const perByte = 8 / bits;
  const numbers = Float32Array.from({ length: 256 * perByte }, (_, at) => {
    const [byte, place] = [Math.floor(at / perByte), at % perByte];
    return ((byte >> (bits * place)) & (2 ** bits - 1)) - 2 ** (bits - 1);
  });
  const shape = [256, perByte];
  return dtype === 'float16'
    ? tensorOf('float16', shape, float32ToFloat16(numbers))
    : tensorOf('float32', shape, numbers);
}
