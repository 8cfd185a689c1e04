/** Stored weights as float32 rows [rows, K] in the memory of the kernels, whatever their element type and layout. */
import { fail } from '../diagnostics.js';
import { byteLengthOf, DTYPES, type DType } from '../onnx/ir/dtype.js';
import type { KernelPool } from './pool.js';

/** A weight of N outputs and K inputs as it lies in a model file. */
export interface StoredWeight {
  /** Said in errors. */
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly dtype: DType;
  /** 'NK': [N, K], one output after the other; 'KN': [K, N]. */
  readonly layout: 'KN' | 'NK';
  readonly rows: number;
  readonly cols: number;
}

const KINDS: Partial<Record<DType, number>> = { float32: 0, float16: 1, bfloat16: 2, float64: 3 };
/** Rows that share one not-finite mark, as in `assembly/convert.ts`. */
const GROUP = 16;

/** Rows `begin` to `end` of a stored weight as float32 [end - begin, K]. Fails with `not-finite` on NaN and infinities. */
export async function loadRows(
  pool: KernelPool,
  weight: StoredWeight,
  begin = 0,
  end: number = weight.rows,
): Promise<Float32Array> {
  const address = await stageRows(pool, weight, begin, end);
  const rows = pool.arena.floats(address, (end - begin) * weight.cols).slice();
  pool.arena.release(address);
  return rows;
}

/** The same, left in the memory of the kernels: the address of float32 [end - begin, K], for the caller to release. */
export async function stageRows(pool: KernelPool, weight: StoredWeight, begin: number, end: number): Promise<number> {
  const kind = kindOf(weight);
  const { arena } = pool;
  const rows = end - begin;
  const groups = Math.ceil(rows / GROUP);
  const target = arena.allocate(rows * weight.cols * 4);
  const inPlace = weight.layout === 'NK' && weight.dtype === 'float32';
  const source = inPlace ? target : arena.allocate((rows * weight.cols * DTYPES[weight.dtype].bits) / 8);
  copyRows(weight, begin, end, arena.bytes(source, (rows * weight.cols * DTYPES[weight.dtype].bits) / 8));
  const marks = arena.allocate(groups * 4);
  arena.words(marks, groups).fill(0);
  const plan = arena.plan([source, target, weight.cols, kind, weight.layout === 'KN' ? 1 : 0, rows, marks]);
  await pool.run({ kernel: 'convertRows', plan, count: rows, chunk: chunkOf(weight.cols) });
  const bad = arena.words(marks, groups).indexOf(1);
  for (const address of inPlace ? [marks, plan] : [source, marks, plan]) arena.release(address);
  if (bad < 0) return target;
  arena.release(target);
  const first = begin + bad * GROUP;
  return fail(
    'not-finite',
    weight.name,
    `one of the outputs ${first} to ${Math.min(end, first + GROUP) - 1} has a weight that is NaN or infinite`,
  );
}

/** Rows per range: about 64 k elements, a multiple of the mark group. */
function chunkOf(cols: number): number {
  return Math.max(1, Math.round(65_536 / cols / GROUP)) * GROUP;
}

function kindOf(weight: StoredWeight): number {
  const kind = KINDS[weight.dtype];
  if (kind === undefined) fail('unknown-dtype', weight.name, `weights of type ${weight.dtype} cannot be quantized`);
  const expected = byteLengthOf(weight.dtype, [weight.rows, weight.cols]);
  if (weight.bytes.length !== expected) {
    fail(
      'tensor-size',
      weight.name,
      `${weight.rows} x ${weight.cols} ${weight.dtype} take ${expected} bytes, not ${weight.bytes.length}`,
    );
  }
  return kind;
}

/** Copies outputs `begin` to `end`: a plain range of [N, K], a strip of columns [K, end - begin] of [K, N]. */
function copyRows(weight: StoredWeight, begin: number, end: number, target: Uint8Array): void {
  const { bytes, rows, cols, layout, dtype } = weight;
  const size = DTYPES[dtype].bits / 8;
  if (layout === 'NK' || (begin === 0 && end === rows)) {
    target.set(bytes.subarray(begin * cols * size, end * cols * size));
    return;
  }
  const strip = (end - begin) * size;
  for (let k = 0; k < cols; k++) {
    const at = (k * rows + begin) * size;
    target.set(bytes.subarray(at, at + strip), k * strip);
  }
}
