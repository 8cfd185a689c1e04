/** Adding a few multiples of rows to one row: what remains of a product when most factors are zero. */
import { axpy } from './linalg';

/** Columns kept in registers at a time. */
const STRIPE: i32 = 32;

/**
 * target += Σ factors[c] * rows[columns[c]] over `width` floats, a multiple of 8. `rows` is the first row, `pitch` the
 * distance of rows in bytes; `columns` are i32 row numbers and `factors` f32, `count` of each.
 */
export function addRows(count: i32, columns: usize, factors: usize, rows: usize, pitch: usize, target: usize, width: i32): void {
  let k: i32 = 0;
  for (; k + STRIPE <= width; k += STRIPE) stripe(count, columns, factors, rows + (<usize>k << 2), pitch, target + (<usize>k << 2));
  if (k == width) return;
  for (let c: usize = 0; c < <usize>count << 2; c += 4) {
    const row = rows + <usize>load<i32>(columns + c) * pitch;
    axpy(width - k, load<f32>(factors + c), row + (<usize>k << 2), target + (<usize>k << 2));
  }
}

function stripe(count: i32, columns: usize, factors: usize, rows: usize, pitch: usize, target: usize): void {
  let p0 = v128.load(target);
  let p1 = v128.load(target, 16);
  let p2 = v128.load(target, 32);
  let p3 = v128.load(target, 48);
  let p4 = v128.load(target, 64);
  let p5 = v128.load(target, 80);
  let p6 = v128.load(target, 96);
  let p7 = v128.load(target, 112);
  const end = columns + (<usize>count << 2);
  while (columns < end) {
    const row = rows + <usize>load<i32>(columns) * pitch;
    const factor = v128.load32_splat(factors);
    p0 = f32x4.add(p0, f32x4.mul(factor, v128.load(row)));
    p1 = f32x4.add(p1, f32x4.mul(factor, v128.load(row, 16)));
    p2 = f32x4.add(p2, f32x4.mul(factor, v128.load(row, 32)));
    p3 = f32x4.add(p3, f32x4.mul(factor, v128.load(row, 48)));
    p4 = f32x4.add(p4, f32x4.mul(factor, v128.load(row, 64)));
    p5 = f32x4.add(p5, f32x4.mul(factor, v128.load(row, 80)));
    p6 = f32x4.add(p6, f32x4.mul(factor, v128.load(row, 96)));
    p7 = f32x4.add(p7, f32x4.mul(factor, v128.load(row, 112)));
    columns += 4;
    factors += 4;
  }
  v128.store(target, p0);
  v128.store(target, p1, 16);
  v128.store(target, p2, 32);
  v128.store(target, p3, 48);
  v128.store(target, p4, 64);
  v128.store(target, p5, 80);
  v128.store(target, p6, 96);
  v128.store(target, p7, 112);
}
