/** How training went: tables distilled end to end, and blocks trained by gradient. */
import { significant } from '../../format.js';
import type { BlockTraining, CompiledDistillation, ReportData } from './data.js';
import type { Child, Html } from './html.js';
import { blocksPlot, distillPlot } from './plot-training.js';
import { details, paragraph, plots, type Section } from './section.js';
import { number, table, text } from './table.js';

/** Undefined when nothing was trained. */
export async function trainingSection({ compiled }: ReportData): Promise<Section | undefined> {
  const [distill, training] = [compiled?.distill ?? [], compiled?.training ?? []];
  if (distill.length + training.length === 0) return undefined;
  return { id: 'training', title: 'Training', body: [await distillation(distill), await blocks(training)] };
}

async function distillation(runs: readonly CompiledDistillation[]): Promise<Child> {
  if (runs.length === 0) return undefined;
  const figures: Html[] = [];
  for (const run of runs) figures.push(await distillPlot(run));
  const columns = [
    text('precision'),
    number('steps'),
    number('tokens'),
    number('KL on kept text before'),
    number('after'),
  ];
  const rows = runs.map(({ bits, steps, tokens, kept }) => [
    `int${bits}`,
    steps,
    tokens,
    significant(kept.before),
    significant(kept.after),
  ]);
  return [
    paragraph(
      'Scales and offsets trained so that the output of the quantized model follows that of the source. The tables with the least KL on held-out text are stored.',
    ),
    table('Tables distilled end to end', columns, rows),
    plots(...figures),
  ];
}

async function blocks(training: readonly BlockTraining[]): Promise<Child> {
  if (training.length === 0) return undefined;
  const columns = [
    text('layer'),
    number('segment'),
    text('trained'),
    number('steps'),
    number('loss before'),
    number('after'),
    number('steps taken back'),
    text('left as solved'),
  ];
  const rows = training.map(({ layer, segment, bits, losses, start, end, retries, fallback }) => [
    String(layer),
    segment,
    bits === undefined ? 'codes' : `int${bits} tables`,
    losses.length,
    significant(start),
    significant(end),
    retries,
    fallback.length === 0 ? '–' : fallback.join(', '),
  ]);
  return [
    paragraph('Losses of the blocks trained by gradient, relative to the energy of the output of the float block.'),
    plots(await blocksPlot(training)),
    details(`All ${training.length} trained blocks`, table('Blocks trained by gradient', columns, rows)),
  ];
}
