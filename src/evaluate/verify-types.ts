/** What `verify` takes and gives. */
import type { Input } from '../options/index.js';
import type { AskedInputs } from '../source/index.js';
import type { TextInput, TextOptions } from '../text/index.js';
import type { Check } from './budget/index.js';
import type { SameAs, SameResult } from './same/index.js';
import type { Finding } from './verify-digests.js';

/** Limits that `verify` checks on every model. */
export interface Thresholds {
  /** Nats per position. */
  readonly maxKl?: number;
  /** Nats per token that the candidate may be worse. */
  readonly maxNllIncrease?: number;
  /** Share of equal likeliest tokens, 0 to 1. */
  readonly minTop1?: number;
  /** Bytes of all files of the candidate. */
  readonly maxSize?: number;
}

/** The options of `verify` with all defaults filled in; `VerifyInput` is what a caller passes. */
export interface VerifyOptions {
  /** The model to compare with; needed by limits on quality. */
  readonly original?: string;
  /** The model to check, or a set (.json or folder) of models; needed by every limit. */
  readonly candidate?: string;
  /** Limits of every model. */
  readonly thresholds: Thresholds;
  /** A file of limits, each for a model of its own. */
  readonly budget?: string;
  /** Sets (.json or folder) and models (.onnx) whose files are checked against all their digests. */
  readonly digests?: readonly string[];
  /** A set that the candidate has to be the same as. */
  readonly sameAs?: SameAs;
  readonly text?: TextOptions;
  readonly window: number;
  /** Most windows; `auto` scores until every verdict is clear. */
  readonly windows?: number | 'auto';
  /** What a figure counts as whose interval holds the limit: as its measured value says, or always as passed or missed. */
  readonly unclear: 'value' | 'pass' | 'fail';
  /** Files of multiple-choice questions, for limits on accuracy. */
  readonly tasks?: readonly string[];
  /** The tokenizer for tasks where no text names one. */
  readonly tokenizer?: string;
  readonly threads: number;
  readonly memoryBytes: number;
  /** A JUnit file to write. */
  readonly junit?: string;
  /** A SARIF file to write. */
  readonly sarif?: string;
  /** A Markdown file to write, with a picture (.svg) beside it. */
  readonly summary?: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** What was checked, and whether all of it holds. */
export interface VerifyResult {
  readonly passed: boolean;
  readonly checks: readonly Check[];
  /** What was digested; absent unless asked for. */
  readonly digests?: readonly Finding[];
  /** How the candidate differs from the set it has to be the same as; absent unless asked for. */
  readonly same?: SameResult;
  /** The budget file, where there was one: checks have lines of it. */
  readonly budget?: string;
  /** Positions and windows scored, where text was. */
  readonly positions?: number;
  readonly windows?: number;
}

/** What `verify` takes. */
export type VerifyInput = Input<
  Omit<VerifyOptions, 'text'>,
  'window' | 'threads' | 'memoryBytes' | 'thresholds' | 'unclear'
> &
  Pick<AskedInputs, 'file' | 'hub'> & { readonly text?: TextInput | undefined };
