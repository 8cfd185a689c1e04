/** Scores, tasks, speed and thresholds. */

export {
  budgetJsonSchema,
  type Check,
  figureOf,
  githubAnnotations,
  intervalText,
  measuredOf,
  summaryOf,
  titleOf,
  verdictText,
} from './budget/index.js';
export { checkLevels, LEVEL_TOKENS, OPTIMIZED, type Ran, ranIn } from './check-levels.js';
export {
  type Change,
  type ChangeVerdict,
  type CompareInput,
  type CompareOptions,
  type CompareResult,
  compare,
  differenceText,
  type LayerChange,
  type ModelComparison,
} from './compare/index.js';
export { evaluateModels } from './evaluate.js';
export { type EvalInput, type EvalOptions, type EvalResult, evaluate } from './evaluate-files.js';
export { type EvaluateTasksInput, type EvaluateTasksOptions, evaluateTasks, type TaskScore } from './evaluate-tasks.js';
export type { CandidateResult, ModelResult } from './evaluate-types.js';
export type { Interval } from './intervals.js';
export { copyLogits, type Logits, logitsFor, logitsOf } from './logits.js';
export { referenceOf } from './reference.js';
export { roundedCopy } from './rounded-copy.js';
export type { PrecisionChange, SameAs, SameResult, SetDifference } from './same/index.js';
export { type CandidateScore, type ReferenceScore, scoreCandidate, scoreReference } from './score.js';
export { meanOf, type WindowSum } from './statistics.js';
export type { TaskResult } from './tasks.js';
export type { Side, Verdict } from './verdict.js';
export { verify } from './verify.js';
export type { Finding } from './verify-digests.js';
export type { Thresholds, VerifyInput, VerifyOptions, VerifyResult } from './verify-types.js';
