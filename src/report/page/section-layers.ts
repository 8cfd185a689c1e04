/** Errors by layer. */
import { significant } from '../../format.js';
import type { CompiledProjection, ReportData } from './data.js';
import type { Html } from './html.js';
import { bitsIn, layerErrors } from './layer-errors.js';
import { errorPlot, heatMap } from './plot-layers.js';
import { details, paragraph, plots, type Section } from './section.js';
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
