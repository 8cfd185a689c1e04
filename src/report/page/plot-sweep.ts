/** Size against KL of everything a sweep tried. */
import type { TopLevelSpec } from 'vega-lite';
import type { ReportSweep, SweepScore } from './data.js';
import type { Html } from './html.js';
import { figure } from './plot.js';
import { frontOf, sizeAgainst } from './plot-pareto.js';

const KINDS: Readonly<Record<SweepScore['kind'], string>> = {
  uniform: 'uniform',
  shape: 'named shape',
  search: 'searched',
};

export function sweepPlot({ per, reference, points }: ReportSweep): Promise<Html> {
  const values = points
    .filter(({ kl }) => kl > 0)
    .map((point) => ({ ...point, kind: KINDS[point.kind], megabytes: point.bytes / 1e6, value: point.kl }));
  const { x, y } = sizeAgainst(
    values.map(({ value }) => value),
    'KL, nats per position',
    true,
  );
  const kind = { field: 'kind', type: 'nominal', sort: Object.values(KINDS), title: null } as const;
  const color = { ...kind, scale: { domain: Object.values(KINDS), range: ['var(--s5)', 'var(--s2)', 'var(--s4)'] } };
  const spec: TopLevelSpec = {
    width: 320,
    height: 260,
    layer: [
      {
        data: { values: [...frontOf(values)] },
        mark: { type: 'line', opacity: 0.5, strokeWidth: 1.5, color: 'var(--muted)' },
        encoding: { x, y },
      },
      { data: { values }, mark: { type: 'point', filled: true, size: 45 }, encoding: { x, y, color, shape: kind } },
      {
        data: { values: values.filter((point) => point.kind === KINDS.uniform) },
        mark: { type: 'text', align: 'left', dx: 7, dy: -7 },
        encoding: { x, y, text: { field: 'name' } },
      },
    ],
  };
  const label = `Scatter plot of ${values.length} mixes: size in megabytes against KL; the table below has the numbers.`;
  return figure(`One precision per ${per}, against ${reference}`, label, spec);
}
