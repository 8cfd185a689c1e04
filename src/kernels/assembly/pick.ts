/**
 * The shared codes of one column in four rows, one row a lane: the parent code q with least Σ_r λ_r (t_r - ŵ_r(q))², the smallest
 * on ties. In a cell, a range of parent codes that no lower slice tells apart, only the parent's own term varies, so its best code
 * there is a clamped rounding; and a cell is visited only when that term alone leaves it a chance against the rounded code.
 */
import * as job from './job';

/** Rows picked for together. */
export const LANES: i32 = 4;

/**
 * Sets `job.decode4` to the tables of block u, rows n to n + count - 1: per plane scales and offsets, f32x4 each, times the root
 * of λ but for the parent. Lanes past the last row repeat it.
 */
export function prepare(n: i32, count: i32, u: i32): void {
  for (let r = 0; r < job.planes; r++) {
    const root = r == 0 ? f32x4.splat(1) : v128.load32_splat(job.roots + (<usize>r << 2));
    const at = job.scaleAt(r, n, u);
    const step = <usize>job.blocks << 2;
    const target = job.decode4 + (<usize>r << 5);
    v128.store(target, f32x4.mul(root, gather(at, step, count)));
    v128.store(target, f32x4.mul(root, gather(at + job.offsetAt(), step, count)), 16);
  }
}

/** A float of each lane, `step` bytes from row to row. */
// @ts-ignore: decorator
@inline
export function gather(at: usize, step: usize, count: i32): v128 {
  const second = at + (count > 1 ? step : 0);
  const third = second + (count > 2 ? step : 0);
  const low = v128.load32_lane(second, v128.load32_zero(at), 1);
  return v128.load32_lane(third + (count > 3 ? step : 0), v128.load32_lane(third, low, 2), 3);
}

/** The slice of parent codes for plane r, as floats. */
// @ts-ignore: decorator
@inline
export function sliceOf(r: usize, q: v128): v128 {
  const half = v128.load32_splat(job.halves + (r << 2));
  const top = v128.load32_splat(job.tops + (r << 2));
  return f32x4.convert_i32x4_s(i32x4.min_s(i32x4.shr_s(i32x4.add(q, half), load<i32>(job.shifts + (r << 2))), top));
}

/**
 * Picks the codes, i32x4, for the goals in `job.goals4`: per plane f32x4 d_r with scale_r · c_r(q) + d_r as what is left of the goal
 * at code q, of the parent as it is, of the others times the root of λ.
 */
export function pick(): v128 {
  const scale = v128.load(job.decode4);
  const exact = f32x4.neg(f32x4.div(v128.load(job.goals4), scale));
  const ideal = f32x4.nearest(exact);
  const last = <f32>((1 << job.bits(0)) - 1);
  const base = v128.load(job.base4);
  const least = f32x4.convert_i32x4_s(base);
  const most = f32x4.add(least, f32x4.splat(<f32>(spanOf() - 1)));
  const rounded = i32x4.trunc_sat_f32x4_s(bound(ideal, least, most));
  if (job.planes == 1) return rounded;
  const step = f32x4.abs(f32x4.mul(v128.load32_splat(job.roots), scale));
  // Where the parent has no weight this is no number, and all cells are visited. What is added is for rounding.
  const reach = f32x4.pmin(f32x4.splat(last), f32x4.div(f32x4.sqrt(costs(rounded)), step));
  const room = f32x4.add(f32x4.mul(reach, f32x4.splat(1.001)), f32x4.splat(1));
  const low = cellOf(f32x4.sub(exact, room), least, most);
  const cells = i32x4.sub(cellOf(f32x4.add(exact, room), least, most), low);
  return search(ideal, i32x4.shl(low, job.cell), largest(cells) + 1, i32x4.add(base, i32x4.splat(spanOf())));
}

/** Parent codes that begin with the same held bits: all of them where none is held. */
// @ts-ignore: decorator
@inline
function spanOf(): i32 {
  return 1 << (job.bits(0) - job.heldBits);
}

/** Notes the codes that rows n to n + count - 1 may take in column j: those that share the held bits. */
export function confine(n: i32, count: i32, j: i32): void {
  if (job.heldBits == 0) return;
  const mask = ~(spanOf() - 1);
  for (let lane = 0; lane < LANES; lane++) {
    const row = n + min(lane, count - 1);
    store<i32>(job.base4 + (<usize>lane << 2), <i32>load<u8>(job.held + <usize>row * job.cols + j) & mask);
  }
}

/** Rounded codes of row n, each moved to the nearest that has the held bits. */
export function confineRow(n: i32): void {
  const span = spanOf();
  for (let j = 0; j < job.cols; j++) {
    const at = <usize>n * job.cols + j;
    const base = <i32>load<u8>(job.held + at) & ~(span - 1);
    store<u8>(job.codes + at, max(base, min(base + span - 1, <i32>load<u8>(job.codes + at))));
  }
}

/** Visits `count` cells from those that begin at `first` on, none at `end` or behind. */
function search(ideal: v128, first: v128, count: i32, end: v128): v128 {
  const width = i32x4.splat(1 << job.cell);
  const final = i32x4.sub(end, width);
  const most = f32x4.splat(<f32>((1 << job.cell) - 1));
  let best = f32x4.splat(Infinity);
  let codes = i32x4.splat(0);
  for (let t = 0; t < count; t++) {
    const start = f32x4.convert_i32x4_s(i32x4.min_s(first, final));
    const q = i32x4.trunc_sat_f32x4_s(bound(ideal, start, f32x4.add(start, most)));
    const cost = costs(q);
    codes = v128.bitselect(q, codes, f32x4.lt(cost, best));
    best = f32x4.pmin(best, cost);
    first = i32x4.add(first, width);
  }
  return codes;
}

/** Σ_r λ_r (t_r - ŵ_r(q))² in each lane. */
// @ts-ignore: decorator
@inline
function costs(q: v128): v128 {
  const own = f32x4.add(f32x4.mul(v128.load(job.decode4), f32x4.convert_i32x4_s(q)), v128.load(job.goals4));
  const e = f32x4.mul(v128.load32_splat(job.roots), own);
  let cost = f32x4.mul(e, e);
  for (let r: usize = 1; r < <usize>job.planes; r++) {
    const d = f32x4.add(f32x4.mul(v128.load(job.decode4 + (r << 5)), sliceOf(r, q)), v128.load(job.goals4 + (r << 4)));
    cost = f32x4.add(cost, f32x4.mul(d, d));
  }
  return cost;
}

/** The cell of a code, which need not be whole nor in range. */
// @ts-ignore: decorator
@inline
function cellOf(code: v128, least: v128, most: v128): v128 {
  return i32x4.shr_s(i32x4.trunc_sat_f32x4_s(bound(code, least, most)), job.cell);
}

// @ts-ignore: decorator
@inline
function bound(x: v128, least: v128, most: v128): v128 {
  return f32x4.pmin(f32x4.pmax(x, least), most);
}

function largest(x: v128): i32 {
  const half = i32x4.max_s(x, v128.shuffle<i32>(x, x, 2, 3, 0, 1));
  return max(i32x4.extract_lane(half, 0), i32x4.extract_lane(half, 1));
}
