/** Histograms of codes, one per precision on an axis from the lowest code to the highest. */
import type { TopLevelSpec } from 'vega-lite';
import type { CodeHistogram } from './data.js';
import type { Html } from './html.js';
import { figure } from './plot.js';

/** Bars of a precision with more levels than this are joined, so that they stay visible. */
const MOST_BARS = 64;

export function codesPlot(histogram: CodeHistogram): Promise<Html> {
  const { name, counts, meanLevel } = histogram;
  const total = counts.reduce((sum, count) => sum + count, 0) || 1;
  const bars = Math.min(MOST_BARS, counts.length);
  const shares = new Float64Array(bars);
  counts.forEach((count, code) => {
    const bar = Math.floor((code * bars) / counts.length);
    shares[bar] = (shares[bar] ?? 0) + (100 * count) / total;
  });
  const values = Array.from(shares, (share, bar) => ({ from: bar / bars, to: (bar + 1) / bars, share }));
  const spec: TopLevelSpec = {
    data: { values },
    width: 270,
    height: 110,
    layer: [
      {
        mark: { type: 'bar', color: 'var(--s5)', binSpacing: bars > 16 ? 0 : 1 },
        encoding: {
          x: {
            field: 'from',
            type: 'quantitative',
            bin: { binned: true },
            title: `codes 0…${counts.length - 1}`,
            axis: { labels: false, ticks: false, grid: false },
            scale: { domain: [0, 1] },
          },
          x2: { field: 'to' },
          y: { field: 'share', type: 'quantitative', title: '% of codes', axis: { tickCount: 3 } },
        },
      },
      {
        data: { values: [{ at: meanLevel * ((bars - 1) / bars) + 0.5 / bars }] },
        mark: { type: 'rule', color: 'var(--s1)', strokeWidth: 2, strokeDash: [4, 3] },
        encoding: { x: { field: 'at', type: 'quantitative' } },
      },
    ],
  };
  const label = `Histogram of the ${name} codes; the mean lies at ${(100 * meanLevel).toFixed(1)} % of the range.`;
  return figure(name, label, spec);
}
