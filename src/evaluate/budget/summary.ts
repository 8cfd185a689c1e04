/** Checks as Markdown for the summary of a workflow or a comment. */
import type { SameResult } from '../same/index.js';
import type { Finding } from '../verify-digests.js';
import type { Check } from './checks.js';
import { figureOf, intervalText, measuredOf, titleOf, verdictText } from './shown.js';

/** The first line, by which a file of ours is told from others. */
export const SUMMARY_MARK = '<!-- matquant verify -->';

export interface Summarized {
  readonly checks: readonly Check[];
  readonly digests?: readonly Finding[];
  /** The comparison with another set. */
  readonly same?: SameResult;
  /** Positions and windows that were scored. */
  readonly positions?: number;
  readonly windows?: number;
}

/** The summary; `plot` is the name of a picture beside it. */
export function summaryOf({ checks, digests = [], same, positions, windows }: Summarized, plot?: string): string {
  const missed = checks.filter(({ passed }) => !passed).length;
  const damaged = digests.filter(({ problem }) => problem !== undefined);
  const said = [
    ...(checks.length > 0 ? [`${checks.length - missed} of ${checks.length} limits hold`] : []),
    ...(digests.length > 0 ? [`${digests.length - damaged.length} of ${digests.length} digests match`] : []),
    ...(same ? [`${same.passed ? 'the same' : 'not the same'} as ${same.with}`] : []),
  ].join(', ');
  const scored =
    positions === undefined
      ? []
      : [`${positions} positions in ${windows} windows scored; ± is the standard error over windows.`, ''];
  const reasons = [...new Set(checks.filter(({ passed }) => !passed).map(reasonOf))].filter((line) => line !== '');
  return [
    SUMMARY_MARK,
    `### Model budget: ${said}`,
    '',
    ...(checks.length > 0 ? [...tableOf(checks), ''] : []),
    ...damaged.map(({ at, part, problem }) => `- damaged: ${cell(at)}, the ${part} ${problem}`),
    ...(same?.problems ?? []).map((problem) => `- ${cell(problem)}`),
    ...reasons,
    ...(reasons.length > 0 ? [''] : []),
    ...scored,
    ...(plot === undefined ? [] : [`![Measured figures as shares of their limits](${encodeURI(plot)})`, '']),
  ].join('\n');
}

function tableOf(checks: readonly Check[]): readonly string[] {
  const rows = checks.map((check) => {
    const verdict = verdictText(check);
    const limit = `${check.side === 'most' ? '≤' : '≥'} ${figureOf(check, check.limit)}`;
    const cells = [check.model, titleOf(check), measuredOf(check), intervalText(check), limit, barOf(check)];
    return `| ${[check.passed ? verdict : `**${verdict}**`, ...cells].map(cell).join(' | ')} |`;
  });
  return [
    '| verdict | model | figure | measured | 95 % interval | limit | share of the limit |',
    '| --- | --- | --- | ---: | --- | ---: | --- |',
    ...rows,
  ];
}

const reasonOf = ({ model, reason }: Check): string =>
  reason === undefined ? '' : `- ${cell(model)}: ${cell(reason)}`;

const BLOCKS = 10;

/** `███████░░░ 70 %`: pictures are not shown in summaries, text is. */
function barOf({ value, limit }: Check): string {
  const share = value / limit;
  if (!Number.isFinite(share)) return '';
  const full = Math.min(BLOCKS, Math.max(0, Math.round(share * BLOCKS)));
  return `${'█'.repeat(full)}${'░'.repeat(BLOCKS - full)} ${Math.round(100 * share)} %`;
}

/** Text that ends no cell and opens no tag. */
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;').replaceAll('\n', ' ');
