/** Errors by layer and the bits of mixes. */
import { significant } from '../../format.js';
import type { CompiledProjection, ReportData } from './data.js';
import type { Child, Html } from './html.js';
import { bitsIn, layerErrors } from './layer-errors.js';
import { bitsPlot, errorPlot, heatMap } from './plot-layers.js';
import { details, paragraph, plots, type Section, widePlot } from './section.js';
import { number, table, text } from './table.js';

/** Undefined when the recipe did not measure. */
export async function errorsSection({ compiled }: ReportData): Promise<Section | undefined> {
  const measured = (compiled?.projections ?? []).filter(({ error }) => error !== undefined);
  const errors = layerErrors(measured);
  if (measured.length === 0) return undefined;
  return {
    id: 'errors',
    title: 'Error per layer',
    body: [
      paragraph(
        'Squared error of the output of a projection on the calibration text over the energy of that output, before (plain rounding) and after solving; a layer is the mean of its projections.',
      ),
      errors.length > 0 && plots(await errorPlot(errors), await heatMap(errors)),
      details(`Errors of all ${measured.length} projections`, errorTable(measured)),
    ],
  };
}

function errorTable(projections: readonly CompiledProjection[]): Html {
  const names = [...new Set(projections.flatMap(({ error }) => Object.keys(error ?? {})))].sort(
    (a, b) => bitsIn(a) - bitsIn(b),
  );
  const rows = projections.map(({ id, error, damping }) => [
    id,
    ...names.map((name) => {
      const pair = error?.[name];
      return pair === undefined ? '–' : `${significant(pair.before)} → ${significant(pair.after)}`;
    }),
    damping === undefined ? '–' : significant(damping),
  ]);
  return table('Error before → after', [text('projection'), ...names.map(number), number('damping')], rows);
}

/** Undefined when all models have one precision. */
export async function mixesSection({ models, projections }: ReportData): Promise<Section | undefined> {
  const mixes = models.filter(({ bits }) => typeof bits !== 'number');
  if (mixes.length === 0) return undefined;
  const body: Child[] = [];
  for (const mix of mixes) body.push(widePlot(await bitsPlot(mix, projections)));
  const layers = mixes[0]?.layers.map(({ layer }) => layer) ?? [];
  const rows = layers.map((layer, at) => [
    layer < 0 ? 'other' : String(layer),
    ...mixes.map((mix) => significant(mix.layers[at]?.bits ?? 0)),
  ]);
  return {
    id: 'mixes',
    title: 'Bits per layer',
    body: [
      ...body,
      details(
        'Averages of the layers',
        table('Average bits per layer', [text('layer'), ...mixes.map(({ name }) => number(name))], rows),
      ),
    ],
  };
}
