/** Options of the solver for small problems. */
import type { Precision } from '../../src/quant/precision.js';
import { lambdas, type SolveOptions } from '../../src/solve/kernel/options.js';

/** Some precisions by error feedback, with one round of descent. */
export const quickOptions = (block: number, bits: readonly Precision[] = [8, 4, 2]): SolveOptions => ({
  bits,
  lambda: lambdas(bits),
  block,
  slice: 'prefix',
  decode: 'ab',
  symmetric: false,
  range: 'grid',
  codes: 'gptq',
  damping: 0.01,
  rounds: 1,
  sweeps: 1,
});
