/** Measures sensitivities: one unit after the other at each precision, everything else at the highest. */
import { unlessDamaged } from '../files/record.js';
import type { Context } from '../log.js';
import type { SetLayout } from '../quant/layout.js';
import type { Precision } from '../quant/precision.js';
import type { OpenTemplate } from '../set/index.js';
import type { OpenMeter } from './mix-meter.js';
import type { Unit } from './search/types.js';
import {
  isMeasured,
  readSensitivity,
  type SensitivityEntry,
  sensitivityPath,
  writeSensitivity,
} from './sensitivity-file.js';

export interface Sensitivities {
  readonly entries: readonly SensitivityEntry[];
  /** Where they are kept. */
  readonly path: string;
  /** Mixes that were run for it now. */
  readonly evaluations: number;
}

/** Measures what the file beside the set does not hold yet, and adds it there unit by unit. */
export async function measureSensitivity(
  { set }: OpenTemplate,
  { meter, parent, text, reference }: OpenMeter,
  units: readonly Unit[],
  context: Context,
): Promise<Sensitivities> {
  const path = sensitivityPath(set);
  const before = meter.evaluations;
  let entries = unlessDamaged(path, context.log, () => readSensitivity(path, set.manifest)) ?? [];
  const tasks = tasksOf(units, set.manifest.layout).filter(
    (task) => !isMeasured(entries, { ...task, text, reference }),
  );
  await meter.settle(parent);
  for (const [at, { unit, bits: asked, projections }] of tasks.entries()) {
    context.signal.throwIfAborted();
    const mix = new Map([...parent, ...projections.map((id) => [id, asked] as const)]);
    const { kl, positions } = await meter.measure(mix);
    entries = [...entries, { unit, bits: asked, kl, positions, text, reference }];
    writeSensitivity(path, set.manifest, entries);
    context.progress.update({ stage: 'sensitivity', done: at + 1, total: tasks.length, detail: `${unit} int${asked}` });
  }
  return { entries, path, evaluations: meter.evaluations - before };
}

interface Task {
  readonly unit: string;
  readonly bits: Precision;
  readonly projections: readonly string[];
}

/** The whole set first, as the base; then units from the last, which need least of the model to be run again. */
function tasksOf(units: readonly Unit[], { bits }: SetLayout): readonly Task[] {
  const parent = bits.at(-1) as Precision;
  const all = units.toReversed().flatMap(({ id, projections, choices }) => {
    const below = choices.filter((choice) => choice.bits < parent);
    return below.map((choice): Task => ({ unit: id, bits: choice.bits, projections }));
  });
  return [{ unit: '*', bits: parent, projections: [] }, ...all];
}
