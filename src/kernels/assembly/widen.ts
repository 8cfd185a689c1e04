/**
 * Fields of a bit plane to the bytes of container codes that they lie in. Half a byte of the plane becomes 1, 2 or 4 bytes, each
 * by a look-up in a table of 16 entries, which is one instruction for 16 of them.
 */

/**
 * Widens `length` bytes at `source` by `ratio` (2, 4 or 8: container over field width) into `target`; with `onto` into what is
 * there by `or`. Entry n of the tables, u8 [ratio / 2, 16], has the bytes that half byte n stands for. Works on whole vectors: up
 * to 15 bytes behind the source are read and up to 63 behind the target written.
 */
export function widenPlane(source: usize, length: i32, ratio: i32, tables: usize, target: usize, onto: bool): void {
  const keep = i8x16.splat(onto ? -1 : 0);
  const end = source + <usize>length;
  if (ratio == 2) widenBy2(source, end, tables, target, keep);
  else if (ratio == 4) widenBy4(source, end, tables, target, keep);
  else widenBy8(source, end, tables, target, keep);
}

function widenBy2(source: usize, end: usize, tables: usize, target: usize, keep: v128): void {
  const table = v128.load(tables);
  for (; source < end; source += 16, target += 32) {
    const bytes = v128.load(source);
    put(target, keep, i8x16.swizzle(table, firstHalves(bytes)));
    put(target + 16, keep, i8x16.swizzle(table, lastHalves(bytes)));
  }
}

function widenBy4(source: usize, end: usize, tables: usize, target: usize, keep: v128): void {
  const table0 = v128.load(tables);
  const table1 = v128.load(tables, 16);
  for (; source < end; source += 16, target += 64) {
    const bytes = v128.load(source);
    const first = firstHalves(bytes);
    const last = lastHalves(bytes);
    const first0 = i8x16.swizzle(table0, first);
    const first1 = i8x16.swizzle(table1, first);
    const last0 = i8x16.swizzle(table0, last);
    const last1 = i8x16.swizzle(table1, last);
    put(target, keep, zipFirst(first0, first1));
    put(target + 16, keep, zipLast(first0, first1));
    put(target + 32, keep, zipFirst(last0, last1));
    put(target + 48, keep, zipLast(last0, last1));
  }
}

function widenBy8(source: usize, end: usize, tables: usize, target: usize, keep: v128): void {
  const table0 = v128.load(tables);
  const table1 = v128.load(tables, 16);
  const table2 = v128.load(tables, 32);
  const table3 = v128.load(tables, 48);
  for (; source < end; source += 8, target += 64) {
    const halves = firstHalves(v128.load64_zero(source));
    const bytes0 = i8x16.swizzle(table0, halves);
    const bytes1 = i8x16.swizzle(table1, halves);
    const bytes2 = i8x16.swizzle(table2, halves);
    const bytes3 = i8x16.swizzle(table3, halves);
    putFours(target, keep, zipFirst(bytes0, bytes1), zipFirst(bytes2, bytes3));
    putFours(target + 32, keep, zipLast(bytes0, bytes1), zipLast(bytes2, bytes3));
  }
}

/** Stores 32 bytes: by turns two of `low` and two of `high`. */
// @ts-ignore: decorator
@inline
function putFours(target: usize, keep: v128, low: v128, high: v128): void {
  put(target, keep, v128.shuffle<i16>(low, high, 0, 8, 1, 9, 2, 10, 3, 11));
  put(target + 16, keep, v128.shuffle<i16>(low, high, 4, 12, 5, 13, 6, 14, 7, 15));
}

// @ts-ignore: decorator
@inline
function put(target: usize, keep: v128, bytes: v128): void {
  v128.store(target, v128.or(v128.and(v128.load(target), keep), bytes));
}

/** The halves of the first eight bytes, low half first. */
// @ts-ignore: decorator
@inline
function firstHalves(bytes: v128): v128 {
  return zipFirst(v128.and(bytes, i8x16.splat(15)), highHalves(bytes));
}

/** Those of the last eight bytes. */
// @ts-ignore: decorator
@inline
function lastHalves(bytes: v128): v128 {
  return zipLast(v128.and(bytes, i8x16.splat(15)), highHalves(bytes));
}

// @ts-ignore: decorator
@inline
function highHalves(bytes: v128): v128 {
  return v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15));
}

// @ts-ignore: decorator
@inline
function zipFirst(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// @ts-ignore: decorator
@inline
function zipLast(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}
