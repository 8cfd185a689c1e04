/** What Jest's results count as, and how a count is printed. Plain Node, so that it runs in a fresh clone. */

/** Passed, failed and skipped tests of Jest's JSON results. `pending` and `todo` are skipped; a suite that cannot be loaded failed. */
export function countTests({
  numPassedTests,
  numFailedTests,
  numRuntimeErrorTestSuites,
  numPendingTests,
  numTodoTests,
}) {
  return {
    passed: numPassedTests,
    failed: numFailedTests + numRuntimeErrorTestSuites,
    skipped: numPendingTests + numTodoTests,
  };
}

/** `N passed, N failed`, with `, N skipped` behind it where some were. */
export const summaryOf = ({ passed, failed, skipped }) =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
