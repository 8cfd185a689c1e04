/** What the report says of each projection: its shape, its errors before and after, and how its codes are spread. */

import { codeHistogram } from '../quant/histogram.js';
import type { ProjectionPlace } from '../quant/layout.js';
import type { ProjectionParts } from '../set/index.js';
import type { SolvedProjection } from '../solve/index.js';

/** A quantized projection: shape, errors, code histogram. */
export interface ProjectionReport {
  readonly id: string;
  readonly layer: number;
  readonly role: string;
  readonly k: number;
  readonly n: number;
  /**
   * Error per precision relative to the energy of the output, of plain rounding (before) and as solved (after); absent without
   * statistics.
   */
  readonly error?: Readonly<Record<string, { readonly before: number; readonly after: number }>>;
  readonly damping?: number;
  readonly seconds: number;
  /** Occurrences of each parent code 0…255. */
  readonly codes: readonly number[];
  /** The same before training, of rounding within the extremes of each block. */
  readonly codesBefore?: readonly number[];
}

export function projectionReport(
  solved: SolvedProjection,
  place: ProjectionPlace,
  parts: ProjectionParts,
): ProjectionReport {
  const { id, layer, role, k, n } = place;
  const { report, seconds, codesBefore } = solved;
  return {
    id,
    layer,
    role,
    k,
    n,
    ...(report !== undefined && {
      error: Object.fromEntries([...report.error].map(([bits, each]) => [`int${bits}`, each])),
      damping: report.damping,
    }),
    seconds,
    codes: Array.from(codeHistogram(parts.codes)),
    ...(codesBefore !== undefined && { codesBefore }),
  };
}
