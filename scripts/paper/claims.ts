/** Claims of the MatQuant paper (arXiv 2502.06786) as comparisons of two figures, and whether the figures measured here agree. */
import type { Bits } from '../bench/methods.js';

/** Negative log-likelihood above the float model, by method and precision; undefined where it was not measured. */
export type Figures = (method: string, bits: Bits) => number | undefined;

/** A claim: the first figure is smaller than the second one. */
interface Claim {
  /** Where the paper says it. */
  readonly source: string;
  readonly text: string;
  readonly smaller: readonly [method: string, bits: Bits];
  readonly larger: readonly [method: string, bits: Bits];
}

const claim = (
  source: string,
  text: string,
  smaller: readonly [string, Bits],
  larger: readonly [string, Bits],
): Claim => ({ source, text, smaller, larger });

const CLAIMS: readonly Claim[] = [
  claim('Table 1', 'OmniQuant: int2 alone is better than a slice of int8', ['omniquant', 2], ['omniquant sliced', 2]),
  claim('Table 1', 'OmniQuant: MatQuant int2 is better than int2 alone', ['matquant .1', 2], ['omniquant', 2]),
  claim('Table 1', 'OmniQuant: int8 alone is better than that of MatQuant', ['omniquant', 8], ['matquant .1', 8]),
  claim('Table 1', 'OmniQuant: int4 alone is better than that of MatQuant', ['omniquant', 4], ['matquant .1', 4]),
  claim(
    'Table 1',
    'OmniQuant: MatQuant int3 is better than a slice of int8',
    ['matquant .1', 3],
    ['omniquant sliced', 3],
  ),
  claim('Table 2', 'QAT: int2 alone is better than a slice of int8', ['qat', 2], ['qat sliced', 2]),
  claim('Table 2', 'QAT: MatQuant int2 is better than int2 alone', ['qat matquant', 2], ['qat', 2]),
  claim('Table 2', 'QAT: MatQuant int3 is better than a slice of int8', ['qat matquant', 3], ['qat sliced', 3]),
  claim('Table 3', 'Larger weights of int8 and int4 make int8 better', ['matquant .4', 8], ['matquant .1', 8]),
  claim('Table 3', 'Larger weights of int8 and int4 make int2 worse', ['matquant .1', 2], ['matquant .4', 2]),
  claim('Table 4', 'OmniQuant: co-distillation 8 to 2 makes int2 better', ['codistill', 2], ['matquant .1', 2]),
  claim('Table 4', 'QAT: co-distillation makes int4 better', ['qat codistill', 4], ['qat matquant', 4]),
  claim('Table 5', 'Single-precision MatQuant int2 is better', ['single precision', 2], ['matquant .1', 2]),
  claim('Table 7', 'The extra bucket makes int2 better', ['extra precision', 2], ['matquant .1', 2]),
];

/** A claim with the figures measured for it. */
export interface Judged {
  readonly source: string;
  readonly text: string;
  readonly smaller: number;
  readonly larger: number;
  readonly agrees: boolean;
}

/** The claims that both figures were measured for. */
export function judge(figures: Figures): readonly Judged[] {
  return CLAIMS.flatMap(({ source, text, ...sides }) => {
    const [smaller, larger] = [figures(...sides.smaller), figures(...sides.larger)];
    return smaller === undefined || larger === undefined
      ? []
      : [{ source, text, smaller, larger, agrees: smaller < larger }];
  });
}

/** All methods that the claims compare. */
export const METHODS_OF_CLAIMS: readonly string[] = [
  ...new Set(CLAIMS.flatMap(({ smaller, larger }) => [smaller[0], larger[0]])),
];
