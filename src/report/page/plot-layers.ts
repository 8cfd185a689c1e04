/** Plots over the layers of the model: errors before and after solving, and the bits of mixes. */
import type { TopLevelSpec } from 'vega-lite';
import type { ReportModel, ReportProjection } from './data.js';
import type { Html } from './html.js';
import type { LayerError } from './layer-errors.js';
import { COLORS, decades, figure } from './plot.js';

/** Mean error of each layer. Dashed: plain rounding; solid: what is stored. */
export function errorPlot(errors: readonly LayerError[]): Promise<Html> {
  const values = errors
    .filter(({ before, after }) => before > 0 && after > 0)
    .flatMap(({ layer, precision, before, after }) => [
      { layer, precision, error: before, when: 'plain rounding' },
      { layer, precision, error: after, when: 'stored' },
    ]);
  const precisions = [...new Set(errors.map(({ precision }) => precision))];
  const spec: TopLevelSpec = {
    data: { values },
    width: 320,
    height: 260,
    mark: { type: 'line', point: { size: 18 } },
    encoding: {
      x: layerAxis(errors),
      y: {
        field: 'error',
        type: 'quantitative',
        scale: { type: 'log' },
        title: 'error / energy of the output',
        axis: { values: [...decades(values.map(({ error }) => error))], format: '~e' },
      },
      color: { field: 'precision', type: 'nominal', sort: precisions, title: null, scale: { range: [...COLORS] } },
      strokeDash: {
        field: 'when',
        type: 'nominal',
        sort: ['stored', 'plain rounding'],
        legend: null,
        scale: {
          range: [
            [1, 0],
            [4, 3],
          ],
        },
      },
    },
  };
  return figure(
    'Error per layer (dashed: plain rounding)',
    `Lines: mean error of each layer at ${precisions.join(', ')}.`,
    spec,
  );
}

/** How much of the largest error a cell holds, as ink, per precision: where a mix should spend its bits. */
export function heatMap(errors: readonly LayerError[]): Promise<Html> {
  const cells = errors.map(({ layer, precision, after }) => ({ layer, row: precision, value: after }));
  const label = 'Heat map of layers and precisions: darker cells are nearer to the worst layer of that precision.';
  return heatPlot(cells, 'row', 'Where the error is', label);
}

export interface HeatCell {
  readonly layer: number;
  readonly row: string;
  readonly value: number;
}

/** Layers to the right, rows below one another, the share of the largest value of the row or of the map as ink. */
export function heatPlot(
  cells: readonly HeatCell[],
  within: 'row' | 'all',
  caption: string,
  label: string,
): Promise<Html> {
  const rows = [...new Set(cells.map(({ row }) => row))];
  const largest = (row: string): number => {
    const own = cells.filter((cell) => within === 'all' || cell.row === row);
    return Math.max(Number.MIN_VALUE, ...own.map(({ value }) => value));
  };
  const byRow = new Map(rows.map((row) => [row, largest(row)]));
  const values = cells.map(({ layer, row, value }) => ({
    layer: String(layer),
    row,
    share: value / (byRow.get(row) ?? 1),
  }));
  const layers = [...new Set(cells.map(({ layer }) => layer))].sort((a, b) => a - b).map(String);
  const spec: TopLevelSpec = {
    data: { values },
    width: { step: Math.max(10, Math.min(24, Math.floor(320 / layers.length))) },
    height: { step: 24 },
    mark: { type: 'rect', fill: 'var(--s5)', stroke: 'var(--line)' },
    encoding: {
      x: { field: 'layer', type: 'ordinal', sort: layers, title: 'layer', axis: { labelOverlap: true, labelAngle: 0 } },
      y: { field: 'row', type: 'ordinal', sort: rows, title: null },
      opacity: {
        field: 'share',
        type: 'quantitative',
        scale: { domain: [0, 1], range: [0.03, 1] },
        legend: { title: within === 'row' ? 'relative to the worst layer' : 'relative to the worst', tickCount: 3 },
      },
    },
  };
  return figure(caption, label, spec);
}

/** The precision of each projection of a mix, written into its cell. */
export function bitsPlot(model: ReportModel, projections: readonly ReportProjection[]): Promise<Html> {
  const { bits } = model;
  const inLayers = projections.filter(({ layer }) => layer >= 0);
  const values = inLayers.map(({ id, layer, role }) => ({
    layer: String(layer),
    role,
    bits: typeof bits === 'number' ? bits : (bits[id] ?? 0),
  }));
  const roles = [...new Set(inLayers.map(({ role }) => role))];
  const layers = [...new Set(inLayers.map(({ layer }) => layer))].sort((a, b) => a - b).map(String);
  const x = {
    field: 'layer',
    type: 'ordinal',
    sort: layers,
    title: 'layer',
    axis: { labelAngle: 0, labelOverlap: true },
  } as const;
  const y = { field: 'role', type: 'nominal', sort: roles, title: null } as const;
  const spec: TopLevelSpec = {
    data: { values },
    // Two layers or eighteen fit a phone; one digit needs 12 pixels.
    width: { step: Math.max(12, Math.min(17, Math.floor(306 / layers.length))) },
    height: { step: 22 },
    encoding: { x, y },
    layer: [
      {
        mark: { type: 'rect', fill: 'var(--s5)', stroke: 'var(--bg)' },
        encoding: {
          opacity: {
            field: 'bits',
            type: 'quantitative',
            scale: { domain: [2, 8], range: [0.08, 0.55] },
            legend: null,
          },
        },
      },
      { mark: { type: 'text' }, encoding: { text: { field: 'bits' } } },
    ],
  };
  const label = `Bits of each projection of ${model.name} by layer; ${model.averageBits.toFixed(2)} on average.`;
  return figure(`${model.name}: bits per projection`, label, spec);
}

const layerAxis = (
  errors: readonly LayerError[],
): { field: string; type: 'quantitative'; title: string; scale: object; axis: object } => {
  const last = Math.max(0, ...errors.map(({ layer }) => layer));
  return {
    field: 'layer',
    type: 'quantitative',
    title: 'layer',
    scale: { domain: [0, Math.max(1, last)], nice: false },
    axis: { tickMinStep: 1, tickCount: Math.min(last + 1, 8), format: 'd', grid: false },
  };
};
