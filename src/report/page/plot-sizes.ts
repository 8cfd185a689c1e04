/** The size of each model: the tensors that all share, codes with their tables, the graph. */
import type { TopLevelSpec } from 'vega-lite';
import type { ReportModel } from './data.js';
import type { Html } from './html.js';
import { figure } from './plot.js';

const PARTS = ['shared', 'codes, tables', 'graph'] as const;

export function sizesPlot(models: readonly ReportModel[]): Promise<Html> {
  const values = models.flatMap(({ name, graphBytes, dataBytes, restBytes }) =>
    [restBytes, dataBytes - restBytes, graphBytes].map((bytes, at) => ({
      model: name,
      part: PARTS[at],
      order: at,
      megabytes: bytes / 1e6,
    })),
  );
  const spec: TopLevelSpec = {
    data: { values },
    width: 300,
    height: { step: 26 },
    mark: { type: 'bar' },
    encoding: {
      y: { field: 'model', type: 'nominal', sort: models.map(({ name }) => name), title: null },
      x: { field: 'megabytes', type: 'quantitative', title: 'MB', axis: { tickCount: 5 } },
      color: { field: 'part', type: 'nominal', sort: [...PARTS], title: null, scale: { range: shades } },
      order: { field: 'order', type: 'quantitative' },
    },
  };
  const label = `Stacked bars: the size of ${models.map(({ name }) => name).join(', ')} in megabytes.`;
  return figure('Size of each model', label, spec);
}

const shades = ['var(--s8)', 'var(--s5)', 'var(--s2)'];
