/** Missed limits as workflow commands of GitHub Actions, which show them at the line of the budget file. */
import type { Check } from './checks.js';
import { sentenceOf } from './shown.js';

/** One line for each limit that is missed (`::error`) or unclear (`::warning`). `file` is the budget file, if there is one. */
export function githubAnnotations(checks: readonly Check[], file?: string): readonly string[] {
  return checks.flatMap((check) => {
    if (check.verdict === 'pass') return [];
    const level = check.passed ? 'warning' : 'error';
    const title = check.verdict === 'miss' ? 'Budget missed' : 'Budget unclear';
    const place = file === undefined ? [] : [`file=${property(slashed(file))}`, `line=${check.line ?? 1}`];
    return [`::${level} ${[...place, `title=${title}`].join(',')}::${data(sentenceOf(check))}`];
  });
}

/** Annotations take paths with forward slashes, also on Windows. */
const slashed = (path: string): string => path.replaceAll('\\', '/');

/** The escapes of the runner's own toolkit. */
const data = (text: string): string => text.replaceAll('%', '%25').replaceAll('\r', '%0D').replaceAll('\n', '%0A');
const property = (text: string): string => data(text).replaceAll(':', '%3A').replaceAll(',', '%2C');
