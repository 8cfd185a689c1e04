/** Options of the solver for small problems. */
import { lambdas, type SolveOptions } from '../../src/solve/kernel/options.js';

/** int8, int4 and int2 by error feedback with one round of descent. */
export const quickOptions = (block: number): SolveOptions => ({
  bits: [8, 4, 2],
  lambda: lambdas([8, 4, 2]),
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
