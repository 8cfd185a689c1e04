/** What a compilation captures, told before anything is run: the shards of its text, and random token ids where the text is little. */
import type { Context } from '../log.js';
import type { Source } from '../source/index.js';
import { type Calibration, calibrationOf, fillingOf, type MeasureOptions } from './calibration.js';
import { statisticsOf } from './capture-windows.js';
import { useOf } from './measure.js';

/** Captures that do not depend on each other. */
export interface Captures extends Calibration {
  /** Windows of random token ids whose statistics are captured beside those of the text. */
  readonly random: readonly Int32Array[] | undefined;
}

/** Reads the text and tells what will be captured of it. Fails as reading the text or given statistics does. */
export async function capturesOf(source: Source, options: MeasureOptions, context: Context): Promise<Captures> {
  const calibration = calibrationOf(source, options, context);
  const plain = { ...calibration, random: undefined };
  const { projections, isMeasured } = calibration;
  if (!isMeasured || useOf(options, calibration) === 'none') return plain;
  const given = options.statistics && (await statisticsOf(source, projections, options.statistics, options));
  const { made } = fillingOf(source, calibration, given?.header, options, context);
  return made === undefined || made.length === 0 ? plain : { ...calibration, random: made };
}
