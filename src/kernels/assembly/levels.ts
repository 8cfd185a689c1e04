/** Codes, slices and levels of the nested parent under way. */
import { CENTERED, decodeCentre, encode1, encode4, sliceHalf, sliceTop, tiedOffset } from './grid';
import * as job from './job';

/** The code around which the table of a plane is fitted. */
export function centreOf(plane: i32): f32 {
  return decodeCentre(job.decode, job.bits(plane));
}

/** True when a table is fitted with its zero point at the centre, so that it has no offset of its own. */
export function scaleOnly(): bool {
  return job.decode == 1 || job.decode == CENTERED;
}

/** The weight that parent code q stands for in a plane, for row n and block u. */
export function levelOf(plane: i32, n: i32, u: i32, q: i32): f32 {
  const at = job.scaleAt(plane, n, u);
  return load<f32>(at) * <f32>job.codeOf(plane, q) + load<f32>(at + job.offsetAt());
}

/** Plain rounding of block u of row n on its grid. */
export function roundBlock(n: i32, u: i32): void {
  const at = (<usize>n * job.blocks + u) << 2;
  const scale = load<f32>(job.parentScale + at);
  const zero = load<f32>(job.parentZero + at);
  const top = <f32>((1 << job.bits(0)) - 1);
  const scales = f32x4.splat(scale);
  const zeros = f32x4.splat(zero);
  const tops = f32x4.splat(top);
  let k = n * job.cols + u * job.block;
  const last = k + job.blockWidth(u);
  for (; k + 4 <= last; k += 4) {
    const codes = encode4(v128.load(job.weights + (<usize>k << 2)), scales, zeros, tops);
    const words = i16x8.narrow_i32x4_s(codes, codes);
    v128.store32_lane(job.codes + k, i8x16.narrow_i16x8_u(words, words), 0);
  }
  for (; k < last; k++) store<u8>(job.codes + k, encode1(load<f32>(job.weights + (<usize>k << 2)), scale, zero, top));
}

/** Sets the tables of block u of row n to the tied decode of the parent's grid. */
export function tieBlock(n: i32, u: i32): void {
  const at = (<usize>n * job.blocks + u) << 2;
  const scale = load<f32>(job.parentScale + at);
  const zero = load<f32>(job.parentZero + at);
  for (let plane = 0; plane < job.planes; plane++) {
    const shift = job.bits(0) - job.bits(plane);
    const target = job.scaleAt(plane, n, u);
    store<f32>(target, scale * <f32>(1 << shift));
    store<f32>(target + job.offsetAt(), tiedOffset(job.slice, shift, scale, zero));
  }
}

/** Copies the goals of row n into row i of the tile. */
export function padRow(n: i32, i: i32): void {
  for (let r = 0; r < job.goalRows; r++) {
    const target = job.goalOf(i, r);
    memory.copy(target, job.goalSource(r) + ((<usize>n * job.cols) << 2), (<usize>job.cols) << 2);
    memory.fill(target + ((<usize>job.cols) << 2), 0, (<usize>(job.pitch - job.cols)) << 2);
  }
}

/** Writes the residual G - Ŵ of plane r, row n, as f32 [pitch]; `i` is its row in the tile. */
export function residual(plane: i32, n: i32, i: i32, target: usize): void {
  for (let u = 0; u < job.blocks; u++) residualBlock(plane, n, u, job.goalOf(i, plane), target);
  memory.fill(target + ((<usize>job.cols) << 2), 0, (<usize>(job.pitch - job.cols)) << 2);
}

/** The same for the columns of block u alone, from f32 [K] at `weight`. */
export function residualBlock(plane: i32, n: i32, u: i32, weight: usize, target: usize): void {
  const code = job.codes + <usize>n * job.cols;
  const shift = job.bits(0) - job.bits(plane);
  const half = i32x4.splat(sliceHalf(job.slice, shift));
  const most = i32x4.splat(sliceTop(job.slice, job.bits(plane), shift));
  const at = job.scaleAt(plane, n, u);
  const scale = f32x4.splat(load<f32>(at));
  const offset = f32x4.splat(load<f32>(at + job.offsetAt()));
  const last = u * job.block + job.blockWidth(u);
  let k = u * job.block;
  for (; k + 4 <= last; k += 4) {
    const words = i16x8.extend_low_i8x16_u(v128.load32_zero(code + k));
    const q = i32x4.extend_low_i16x8_u(words);
    const c = f32x4.convert_i32x4_s(i32x4.min_s(i32x4.shr_s(i32x4.add(q, half), shift), most));
    const level = f32x4.add(f32x4.mul(scale, c), offset);
    v128.store(target + ((<usize>k) << 2), f32x4.sub(v128.load(weight + ((<usize>k) << 2)), level));
  }
  for (; k < last; k++) {
    const level = levelOf(plane, n, u, load<u8>(code + k));
    store<f32>(target + ((<usize>k) << 2), load<f32>(weight + ((<usize>k) << 2)) - level);
  }
}
