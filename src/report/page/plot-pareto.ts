/** Size against quality, with the front of models that no other model beats in both. */
import type { TopLevelSpec } from 'vega-lite';
import type { ReportEvaluation, Score } from './data.js';
import type { Html } from './html.js';
import { decades, figure } from './plot.js';

export interface ParetoMeasure {
  readonly caption: string;
  readonly axis: string;
  /** Smaller is better; undefined leaves the model out. */
  readonly of: (score: Score) => number | undefined;
  readonly errorOf: (score: Score) => number | undefined;
  readonly log: boolean;
}

export const KL: ParetoMeasure = {
  caption: 'Size against KL to the source',
  axis: 'KL, nats per position',
  of: ({ kl }) => (kl > 0 ? kl : undefined),
  errorOf: ({ klStandardError }) => klStandardError,
  log: true,
};

export const DELTA_NLL: ParetoMeasure = {
  caption: 'Size against loss',
  axis: 'NLL above the source, nats',
  of: ({ deltaNll }) => deltaNll,
  errorOf: ({ deltaNllStandardError }) => deltaNllStandardError,
  log: false,
};

interface Point {
  readonly model: string;
  readonly text: string;
  readonly megabytes: number;
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** The name stands below the point, since it would cover that of its left neighbour. */
  readonly below: boolean;
}

/** Names of points that are nearer than this share of the width would overlap. */
const NEAR = 0.12;

/** Undefined when fewer than two models have both figures. */
export async function paretoPlot(
  evaluations: readonly ReportEvaluation[],
  measure: ParetoMeasure,
): Promise<Html | undefined> {
  const series = evaluations.map((evaluation) => labelled(pointsOf(evaluation, measure)));
  const points = series.flat();
  if (points.length < 2) return undefined;
  const label = `Scatter plot of ${points.length} models: size in megabytes against ${measure.axis}; ${points
    .map(({ model, megabytes, value }) => `${model} ${megabytes.toFixed(1)} MB ${value.toPrecision(3)}`)
    .join(', ')}.`;
  return figure(measure.caption, label, specOf(points, series.flatMap(frontOf), measure, evaluations.length > 1));
}

function pointsOf({ name, scores }: ReportEvaluation, { of, errorOf, log }: ParetoMeasure): readonly Point[] {
  return scores.flatMap((score) => {
    const value = of(score);
    if (value === undefined || score.bytes === undefined) return [];
    const error = 1.96 * (errorOf(score) ?? 0);
    const low = log ? Math.max(value - error, value / 10) : value - error;
    return [
      { model: score.name, text: name, megabytes: score.bytes / 1e6, value, low, high: value + error, below: false },
    ];
  });
}

/** Puts every second name of a crowd below its point. */
function labelled(points: readonly Point[]): readonly Point[] {
  const sorted = points.toSorted((a, b) => a.megabytes - b.megabytes);
  const width = (sorted.at(-1)?.megabytes ?? 0) - (sorted[0]?.megabytes ?? 0);
  const placed: Point[] = [];
  for (const point of sorted) {
    const last = placed.at(-1);
    const near = last !== undefined && point.megabytes - last.megabytes < NEAR * width;
    placed.push({ ...point, below: near && !last.below });
  }
  return placed;
}

/** The points that no other point beats in both figures, smallest first. */
export function frontOf<P extends Pick<Point, 'megabytes' | 'value'>>(points: readonly P[]): readonly P[] {
  const front: P[] = [];
  for (const point of points.toSorted((a, b) => a.megabytes - b.megabytes || a.value - b.value)) {
    if (front.every(({ value }) => point.value < value)) front.push(point);
  }
  return front;
}

interface QuantitativeAxis {
  readonly field: string;
  readonly type: 'quantitative';
  readonly title: string;
  readonly scale: object;
  readonly axis: object;
}

/** Sizes to the right and a measure upwards: the encoding of every plot of size against quality. */
export function sizeAgainst(
  values: readonly number[],
  title: string,
  log: boolean,
): { readonly x: QuantitativeAxis; readonly y: QuantitativeAxis } {
  const type = 'quantitative';
  const scale = { zero: false, padding: 16 };
  return {
    x: { field: 'megabytes', type, title: 'MB to download', scale, axis: { tickCount: 5 } },
    y: {
      field: 'value',
      type,
      title,
      scale: log ? { type: 'log', padding: 10 } : { padding: 10 },
      axis: log ? { values: [...decades(values)] } : { tickCount: 5 },
    },
  };
}

function specOf(
  points: readonly Point[],
  front: readonly Point[],
  { axis, log }: ParetoMeasure,
  several: boolean,
): TopLevelSpec {
  const { x, y } = sizeAgainst(
    points.map(({ value }) => value),
    axis,
    log,
  );
  const color = {
    field: 'text',
    type: 'nominal',
    title: null,
    legend: several ? {} : null,
    scale: { range: ['var(--s5)', 'var(--s2)', 'var(--s4)', 'var(--s6)', 'var(--s7)'] },
  } as const;
  return {
    width: 300,
    height: 240,
    layer: [
      {
        data: { values: [...front] },
        mark: { type: 'line', opacity: 0.6, strokeWidth: 1.5 },
        encoding: { x, y, color },
      },
      {
        data: { values: points.filter(({ low, high }) => high > low) },
        mark: { type: 'rule', opacity: 0.7 },
        encoding: { x, y: { ...y, field: 'low' }, y2: { field: 'high' }, color },
      },
      {
        data: { values: [...points] },
        mark: { type: 'point', filled: true, size: 55 },
        encoding: { x, y, color, shape: { field: 'text', type: 'nominal', title: null, legend: several ? {} : null } },
      },
      ...[false, true].map((below) => ({
        data: { values: points.filter((point) => point.below === below) },
        mark: below
          ? ({ type: 'text', align: 'right', dx: -5, dy: 10 } as const)
          : ({ type: 'text', align: 'left', dx: 7, dy: -7 } as const),
        encoding: { x, y, text: { field: 'model' } },
      })),
    ],
  };
}
