/**
 * The shared code of one weight: the parent code q with least Σ_r λ_r (t_r - ŵ_r(q))², the smallest on ties. Between two
 * slice boundaries (an atom) only the parent's own term varies, so its best code there is a clamped rounding and the search
 * visits each atom once (64 for prefixes of 6, 4, 3 and 2 bits) instead of 256 codes.
 */
import * as job from './job';

/** Lays out the levels of row n, block u, times the root of λ, for row i of the tile. */
export function prepareLevels(n: i32, u: i32, i: i32): void {
  let target = job.levels + ((<usize>i * job.levelCount) << 2);
  for (let plane = 1; plane < job.planes; plane++) {
    const at = job.scaleAt(plane, n, u);
    const root = load<f32>(job.roots + (<usize>plane << 2));
    const scale = f32x4.splat(load<f32>(at));
    const offset = f32x4.splat(load<f32>(at + job.offsetAt()));
    const roots = f32x4.splat(root);
    const source = job.atomTable + ((<usize>(1 + plane) * job.atoms) << 2);
    const step = plane < job.coarse ? 16 : 64;
    for (let a: usize = 0; a < (<usize>job.atoms) << 2; a += step) {
      const code = plane < job.coarse ? v128.load(source + a) : everyFourth(source + a);
      v128.store(target, f32x4.mul(roots, f32x4.add(f32x4.mul(scale, code), offset)));
      target += 16;
    }
  }
}

function everyFourth(at: usize): v128 {
  const low = v128.shuffle<i32>(v128.load(at), v128.load(at, 16), 0, 4, 0, 4);
  const high = v128.shuffle<i32>(v128.load(at, 32), v128.load(at, 48), 0, 4, 0, 4);
  return v128.shuffle<i64>(low, high, 0, 2);
}

/** Picks the code of row n, block u for the levels in `goals`; `i` is the row in the tile. */
export function pick(n: i32, u: i32, i: i32): i32 {
  const at = job.scaleAt(0, n, u);
  const scale = load<f32>(at);
  const shifted = load<f32>(job.goals) - load<f32>(at + job.offsetAt());
  const ideal = nearest<f32>(shifted / scale);
  if (job.planes == 1) return <i32>min<f32>(max<f32>(ideal, 0), <f32>((1 << job.bits(0)) - 1));
  for (let r: usize = 0; r < <usize>job.planes << 2; r += 4) {
    store<f32>(job.scaled + r, load<f32>(job.roots + r) * load<f32>(job.goals + r));
  }
  const levels = job.levels + ((<usize>i * job.levelCount) << 2);
  const fine = job.coarse - 1;
  sumCoarse(levels + (<usize>(fine * job.atoms) << 2));
  const root = load<f32>(job.roots);
  const own = f32x4.splat(root * shifted);
  const step = f32x4.splat(root * scale);
  if (fine == 1) return searchOne(f32x4.splat(ideal), own, step, levels);
  return searchMany(f32x4.splat(ideal), own, step, levels);
}

/** Costs of the planes that are constant over 4 atoms, one sum per 4 atoms. */
function sumCoarse(levels: usize): void {
  const groups = <usize>job.atoms;
  const goals = job.scaled + (<usize>job.coarse << 2);
  const end = job.scaled + (<usize>job.planes << 2);
  for (let a: usize = 0; a < groups; a += 16) {
    let source = levels + a;
    let sum = f32x4.splat(0);
    for (let goal = goals; goal < end; goal += 4) {
      const d = f32x4.sub(v128.load(source), v128.load32_splat(goal));
      sum = f32x4.add(sum, f32x4.mul(d, d));
      source += groups;
    }
    v128.store(job.bases + a, sum);
  }
}

/** The search with one plane that varies within 4 atoms. */
function searchOne(ideal: v128, shifted: v128, scale: v128, levels: usize): i32 {
  const goal = v128.load32_splat(job.scaled, 4);
  const last = <usize>job.atoms << 2;
  const end = job.atomTable + last;
  let base = job.bases;
  let best = f32x4.splat(f32.MAX_VALUE);
  let codes = f32x4.splat(0);
  for (let first = job.atomTable; first < end; first += 16) {
    const q = f32x4.pmin(f32x4.pmax(ideal, v128.load(first)), v128.load(first + last));
    const own = f32x4.sub(shifted, f32x4.mul(scale, q));
    const d = f32x4.sub(v128.load(levels), goal);
    const cost = f32x4.add(f32x4.add(v128.load32_splat(base), f32x4.mul(own, own)), f32x4.mul(d, d));
    codes = v128.bitselect(q, codes, f32x4.lt(cost, best));
    best = f32x4.pmin(best, cost);
    levels += 16;
    base += 4;
  }
  return smallest(best, codes);
}

/** The search with any number of planes that vary within 4 atoms. */
function searchMany(ideal: v128, shifted: v128, scale: v128, levels: usize): i32 {
  const lanes = <usize>job.atoms << 2;
  const goals = job.scaled + 4;
  const end = job.scaled + (<usize>job.coarse << 2);
  let best = f32x4.splat(f32.MAX_VALUE);
  let codes = f32x4.splat(0);
  for (let a: usize = 0; a < lanes; a += 16) {
    const q = f32x4.pmin(f32x4.pmax(ideal, v128.load(job.atomTable + a)), v128.load(job.atomTable + lanes + a));
    const own = f32x4.sub(shifted, f32x4.mul(scale, q));
    let cost = f32x4.add(v128.load32_splat(job.bases + (a >> 2)), f32x4.mul(own, own));
    let source = levels + a;
    for (let goal = goals; goal < end; goal += 4) {
      const d = f32x4.sub(v128.load(source), v128.load32_splat(goal));
      cost = f32x4.add(cost, f32x4.mul(d, d));
      source += lanes;
    }
    codes = v128.bitselect(q, codes, f32x4.lt(cost, best));
    best = f32x4.pmin(best, cost);
  }
  return smallest(best, codes);
}

/** The smallest code among the lanes of least cost. */
function smallest(cost: v128, codes: v128): i32 {
  let least = f32x4.pmin(cost, v128.shuffle<i32>(cost, cost, 2, 3, 0, 1));
  least = f32x4.pmin(least, v128.shuffle<i32>(least, least, 1, 0, 3, 2));
  let q = v128.bitselect(codes, f32x4.splat(1e9), f32x4.eq(cost, least));
  q = f32x4.pmin(q, v128.shuffle<i32>(q, q, 2, 3, 0, 1));
  q = f32x4.pmin(q, v128.shuffle<i32>(q, q, 1, 0, 3, 2));
  return <i32>f32x4.extract_lane(q, 0);
}
