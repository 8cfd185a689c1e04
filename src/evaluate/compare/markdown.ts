/** A comparison as a comment for a pull request. */
import { significant } from '../../format.js';
import { figureOf, titleOf } from '../budget/index.js';
import type { CompareResult, ModelComparison } from './compare.js';
import type { Change } from './figures.js';
import type { LayerChange } from './layers.js';

/** The first line, by which a file or comment of ours is told from others. */
export const COMPARE_MARK = '<!-- matquant compare -->';

/** Layers that are listed. */
const MOST_LAYERS = 5;
/** Below this a layer counts as equal. */
const LEAST_RATIO = 1.01;

/** `+0.012 (0.008 to 0.016)`. */
export function differenceText(change: Change): string {
  const { difference, interval } = change;
  const sign = difference > 0 ? '+' : difference < 0 ? '−' : '';
  const amount = figureOf(change, Math.abs(difference));
  if (interval === undefined) return `${sign}${amount}`;
  return `${sign}${amount} (${signed(interval.low)} to ${signed(interval.high)})`;
}

/** The text of the comment. */
export function compareMarkdown(result: CompareResult): string {
  const { base, head, verdict, models, onlyBase, onlyHead, layers, windows, paired } = result;
  const scored =
    windows === undefined
      ? []
      : [
          `${paired ? 'The same' : 'Other'} text on both sides, ${windows} windows; in parentheses the 95 % bootstrap interval of the difference. The verdict of a model is that of its KL.`,
          '',
        ];
  return [
    COMPARE_MARK,
    `### Models: ${verdict ?? 'sizes compared'}`,
    '',
    `Base \`${code(base)}\`, head \`${code(head)}\`.`,
    '',
    '| model | figure | base | head | difference | verdict |',
    '| --- | --- | ---: | ---: | ---: | --- |',
    ...models.flatMap(rowsOf),
    '',
    ...onlyIn('base', onlyBase),
    ...onlyIn('head', onlyHead),
    ...scored,
    ...(layers === undefined ? [] : layerTable(layers)),
  ].join('\n');
}

function rowsOf({ name, verdict, changes }: ModelComparison): readonly string[] {
  const title = verdict === undefined ? cell(name) : `${cell(name)}: ${verdict}`;
  return changes.map((change, at) => {
    const said = change.verdict === 'worse' ? '**worse**' : change.verdict;
    const figures = [change.base, change.head].map((value) => figureOf(change, value));
    return `| ${[at === 0 ? title : '', titleOf(change), ...figures, differenceText(change), said].join(' | ')} |`;
  });
}

/** The layers that changed most, worse first. */
function layerTable(layers: readonly LayerChange[]): readonly string[] {
  const changed = layers
    .filter(({ ratio }) => Math.max(ratio, 1 / ratio) >= LEAST_RATIO)
    .toSorted((a, b) => b.ratio - a.ratio);
  if (changed.length === 0) return ['Errors of all layers are equal within 1 %.', ''];
  const shown =
    changed.length <= 2 * MOST_LAYERS ? changed : [...changed.slice(0, MOST_LAYERS), ...changed.slice(-MOST_LAYERS)];
  const rows = shown.map(
    ({ layer, precision, base, head, ratio }) =>
      `| ${layer} | ${precision} | ${significant(base)} | ${significant(head)} | ${significant(ratio)} |`,
  );
  return [
    `Errors of ${changed.length} of ${layers.length} layers at a precision changed by more than 1 %:`,
    '',
    '| layer | precision | error base | error head | ratio |',
    '| ---: | --- | ---: | ---: | ---: |',
    ...rows,
    '',
  ];
}

const onlyIn = (side: string, names: readonly string[]): readonly string[] =>
  names.length === 0 ? [] : [`Only in ${side}: ${names.map(cell).join(', ')}.`, ''];

const signed = (value: number): string => `${value < 0 ? '−' : '+'}${significant(Math.abs(value))}`;
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');
const code = (text: string): string => text.replaceAll('`', "'");
