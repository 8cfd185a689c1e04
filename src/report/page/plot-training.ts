/** Loss curves. */
import type { TopLevelSpec } from 'vega-lite';
import type { BlockTraining, CompiledDistillation } from './data.js';
import type { Html } from './html.js';
import { COLORS, decades, figure } from './plot.js';

/** Points of a curve; more cannot be told apart at this width. */
const POINTS = 60;

/** KL along the steps: of the training text, smoothed, and of held-out text. */
export function distillPlot({ bits, looks, kept }: CompiledDistillation): Promise<Html> {
  const values = looks.flatMap(({ step, loss, kept: other }) => [
    { step, kl: other, text: 'held out' },
    ...(loss === undefined ? [] : [{ step, kl: loss, text: 'trained on' }]),
  ]);
  const spec: TopLevelSpec = {
    data: { values },
    width: 300,
    height: 220,
    mark: { type: 'line', point: { size: 14 } },
    encoding: {
      x: { field: 'step', type: 'quantitative', title: 'step', axis: { tickCount: 5, grid: false } },
      y: {
        field: 'kl',
        type: 'quantitative',
        title: 'KL, nats per position',
        scale: { zero: false },
        axis: { tickCount: 5 },
      },
      color: {
        field: 'text',
        type: 'nominal',
        sort: ['held out', 'trained on'],
        title: null,
        scale: { range: ['var(--s5)', 'var(--s2)'] },
      },
    },
  };
  const label = `Lines: KL along the steps of distilling int${bits}; on held-out text from ${kept.before.toPrecision(3)} to ${kept.after.toPrecision(3)}.`;
  return figure(`int${bits}: KL while distilling`, label, spec);
}

/** One line for each block, in the colour of what was trained. */
export function blocksPlot(training: readonly BlockTraining[]): Promise<Html> {
  const nameOf = ({ bits }: BlockTraining): string => (bits === undefined ? 'codes' : `int${bits} tables`);
  const shown = training
    .flatMap((block, line) => binned(block.losses).map((bin) => ({ ...bin, line, trained: nameOf(block) })))
    .filter(({ loss }) => loss > 0);
  const spec: TopLevelSpec = {
    data: { values: shown },
    width: 320,
    height: 240,
    mark: { type: 'line', strokeWidth: 1, opacity: 0.7 },
    encoding: {
      x: { field: 'step', type: 'quantitative', title: 'step', axis: { tickCount: 5, grid: false } },
      y: {
        field: 'loss',
        type: 'quantitative',
        title: 'loss / energy of the output',
        scale: { type: 'log' },
        axis: { values: [...decades(shown.map(({ loss }) => loss))], format: '~e' },
      },
      detail: { field: 'line', type: 'nominal' },
      color: { field: 'trained', type: 'nominal', title: null, scale: { range: [...COLORS] } },
    },
  };
  return figure(
    'Loss of each block',
    `Lines: loss along the steps, one line for each of ${training.length} blocks.`,
    spec,
  );
}

/** Means over equal stretches of steps. */
export function binned(losses: readonly number[]): readonly { readonly step: number; readonly loss: number }[] {
  const size = Math.max(1, Math.ceil(losses.length / POINTS));
  return Array.from({ length: Math.ceil(losses.length / size) }, (_, at) => {
    const part = losses.slice(at * size, (at + 1) * size);
    return { step: at * size + (part.length + 1) / 2, loss: part.reduce((sum, loss) => sum + loss, 0) / part.length };
  });
}
