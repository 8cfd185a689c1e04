/** Budgets of models: the file, what it asks, and how the answers are published. */
export { githubAnnotations } from './annotations.js';
export { type Budget, type BudgetFile, budgetJsonSchema, readBudgets } from './budget-file.js';
export { type Check, checksOf, isDecided, type Wanted, wantedByBudgets, wantedByFlags } from './checks.js';
export { junitOf } from './junit.js';
export { LIMIT_NAMES, LIMITS, type LimitName } from './limits.js';
export { modelsOf, type NamedModel, shortName } from './models.js';
export { plotBeside, plotOf } from './plot.js';
export { sarifOf } from './sarif.js';
export { figureOf, intervalText, measuredOf, titleOf, verdictText } from './shown.js';
export { SUMMARY_MARK, summaryOf } from './summary.js';
