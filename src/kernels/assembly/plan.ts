/**
 * Every kernel has the signature (plan, begin, end, scratch): a plan of 32-bit words that says where its operands are, the
 * range of rows or tiles it shall do, and a scratch area of the thread that runs it. A result depends on the row alone,
 * never on how rows were divided over threads.
 */

/** The integer or address in word `index` of a plan. */
export function word(plan: usize, index: i32): i32 {
  return load<i32>(plan + ((<usize>index) << 2));
}

/** The float in word `index` of a plan. */
export function real(plan: usize, index: i32): f32 {
  return load<f32>(plan + ((<usize>index) << 2));
}

/** The sum of the four lanes, pairwise. */
export function sum4(v: v128): f32 {
  const half = f32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(half, 0) + f32x4.extract_lane(half, 1);
}
