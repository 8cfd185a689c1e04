/** How far each model is from the source: tables by text, and size against quality. */
import { byteSize, significant } from '../../format.js';
import type { ReportData, ReportEvaluation, Score, TaskAnswers } from './data.js';
import type { Child, Html } from './html.js';
import { DELTA_NLL, KL, paretoPlot } from './plot-pareto.js';
import { paragraph, plots, type Section } from './section.js';
import { number, table, text } from './table.js';

export async function qualitySection({ evaluations, tasks }: ReportData): Promise<Section> {
  const measured = evaluations.filter(({ probe }) => !probe);
  // KL on different texts cannot be compared, so the short probe is drawn only when there is nothing better.
  const drawn = measured.length > 0 ? measured : evaluations;
  const [kl, loss] = [await paretoPlot(drawn, KL), await paretoPlot(drawn, DELTA_NLL)];
  return {
    id: 'quality',
    title: 'Quality',
    body: [
      evaluations.length > 0 &&
        paragraph(
          'KL is the mean divergence of the next-token distribution from that of the source, NLL the mean negative log-likelihood of the next token, both in nats; top-1 is the share of positions with the same most likely token. ± is one standard error.',
        ),
      evaluations.map(evaluationTable),
      (kl ?? loss) !== undefined && plots(kl, loss),
      (kl ?? loss) !== undefined &&
        paragraph(
          'The line joins the models that no other model beats in both size and quality; bars are 95 % intervals.',
        ),
      tasks.map(taskTable),
    ],
  };
}

/** What a probe ran on. */
const PROBED: Readonly<Record<NonNullable<ReportEvaluation['probe']>, string>> = {
  text: '',
  'held-out text': ' of text that was held out',
  'calibration text': ' of the calibration text itself',
  'random ids': ' of random token ids, which say nothing of text',
};

function evaluationTable({ name, probe, positions, reference, scores }: ReportEvaluation): Html {
  const speed = scores.some(({ tokensPerSecond }) => tokensPerSecond !== undefined);
  const losses = scores.some(({ nll }) => nll !== undefined);
  const columns = [
    text('model'),
    number('size'),
    number('KL'),
    number('top-1'),
    ...(losses ? [number('NLL'), number('perplexity')] : []),
    number('Δ NLL'),
    ...(speed ? [number('tokens/s')] : []),
  ];
  const source = reference && [
    reference.name,
    size(reference.bytes),
    '0',
    '100 %',
    ...(losses ? [significant(reference.nll, 5), significant(Math.exp(reference.nll), 4)] : []),
    '0',
    ...(speed ? [figureOf(reference.tokensPerSecond)] : []),
  ];
  const rows = scores.map((score) => rowOf(score, losses, speed));
  const of = probe === undefined ? '' : PROBED[probe];
  const caption = `${probe === undefined ? name : 'A short probe while compiling'}: ${positions} positions${of}`;
  return table(caption, columns, source ? [source, ...rows] : rows);
}

function taskTable({ name, rows }: TaskAnswers): Html {
  const columns = [
    text('task'),
    text('model'),
    number('questions'),
    number('accuracy'),
    number('normalized'),
    number('as the reference'),
  ];
  const percent = (share: number, error: number): string =>
    `${(100 * share).toFixed(1)} ± ${(100 * error).toFixed(1)} %`;
  return table(
    `${name}: multiple-choice questions, the likeliest answer; normalized by its length`,
    columns,
    rows.map((row) => [
      row.task,
      row.model,
      row.items,
      percent(row.accuracy, row.accuracyStandardError),
      percent(row.normalizedAccuracy, row.normalizedAccuracyStandardError),
      `${(100 * row.agreement).toFixed(1)} %`,
    ]),
  );
}

function rowOf(score: Score, losses: boolean, speed: boolean): readonly Child[] {
  const { name, bytes, kl, klStandardError, top1, nll, deltaNll, deltaNllStandardError, tokensPerSecond } = score;
  return [
    name,
    size(bytes),
    withError(kl, klStandardError),
    `${(100 * top1).toFixed(1)} %`,
    ...(losses ? [figureOf(nll, 5), nll === undefined ? '–' : significant(Math.exp(nll), 4)] : []),
    deltaNll === undefined ? '–' : withError(deltaNll, deltaNllStandardError),
    ...(speed ? [figureOf(tokensPerSecond)] : []),
  ];
}

const size = (bytes: number | undefined): string => (bytes === undefined ? '–' : byteSize(bytes));

const figureOf = (value: number | undefined, digits = 3): string =>
  value === undefined ? '–' : significant(value, digits);

/** Signs are typographic, errors have two places. */
function withError(value: number, error: number | undefined): string {
  const shown = significant(value).replace('-', '−');
  return error === undefined || error === 0 ? shown : `${shown} ± ${significant(error, 2)}`;
}
