/** What the report says of each projection: its shape, its errors before and after, and how its codes are spread. */

import { codeHistogram } from '../quant/histogram.js';
import type { ProjectionPlace } from '../quant/layout.js';
import type { CompiledProjection, ProjectionParts } from '../set/index.js';
import type { SolvedProjection } from '../solve/index.js';

/** A quantized projection: shape, errors, code histogram, and the time it took, which the facts of a set leave out. */
export interface ProjectionReport extends CompiledProjection {
  readonly seconds: number;
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
