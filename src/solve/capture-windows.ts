/** Statistics of the float model's inputs: captured over windows, or taken from folders and added up. */

import { rmSync } from 'node:fs';
import type { Projection } from '../analysis/projection.js';
import {
  capture,
  checkStatistics,
  digestOfModel,
  mergeStatistics,
  openStatistics,
  type Statistics,
} from '../capture/index.js';
import { fail } from '../diagnostics.js';
import { keptIn, type Machine } from '../files/machine.js';
import { temporaryFolder } from '../files/temporary.js';
import type { Context } from '../log.js';
import type { Recipe } from '../recipe/index.js';
import { readHints } from '../runtime/hints.js';
import { ortRuntime } from '../runtime/ort.js';
import type { Source } from '../source/index.js';
import { spareMemory } from './peak-memory.js';

/** Machine and folders of a capture. */
export interface CaptureWindowsOptions {
  /** The recipe, whose scope says which projections are captured. */
  readonly recipe: Recipe;
  readonly machine: Machine;
  /** Digest of the source's model, where it is known: it is not read again for it. */
  readonly modelDigest?: string;
}

/** Statistics, and what removes them where no later run is to find them. */
export interface Captured {
  readonly statistics: Statistics;
  close(): void;
}

/** Runs the float model over windows for the inputs of `projections`. `name` is that of the folder inside the work folder. */
export async function captureWindows(
  source: Source,
  windows: readonly Int32Array[],
  projections: readonly Projection[],
  options: CaptureWindowsOptions & { readonly name: string },
  context: Context,
): Promise<Captured> {
  const memoryBytes = spareMemory(source, options.recipe, options.machine.memoryBytes);
  const machine = { ...options.machine, memoryBytes };
  const place = placeFor(projections, machine, options.name);
  const wanted = new Set(projections);
  const of = options.name === RANDOM ? ' of random token ids' : '';
  const statistics = await capture(source.model, source.analysis, windows, ortRuntime, {
    machine,
    scope: (projection) => wanted.has(projection),
    hints: readHints(source.path),
    inFloat64: options.recipe.capture === 'float64',
    ...(options.modelDigest !== undefined && { modelDigest: options.modelDigest }),
    ...(place.folder !== undefined && { folder: place.folder }),
    signal: context.signal,
    log: context.log,
    onProgress: ({ segment, segments, done }) =>
      context.progress.update({
        stage: 'capture',
        done,
        total: 1,
        detail: `segment ${segment + 1} of ${segments}${of}`,
      }),
  }).catch((error: unknown) => {
    place.close();
    throw error;
  });
  return { statistics, close: place.close };
}

/** Names of folders of statistics in the work folder. */
export const TEXT = 'statistics';
export const RANDOM = 'statistics-random';

/** Statistics from folders, added up. Fails with `statistics` when they are another model's or lack an input. */
export async function statisticsOf(
  source: Source,
  projections: readonly Projection[],
  folders: readonly string[],
): Promise<Statistics> {
  for (const folder of folders) checkStatistics(folder);
  const parts = await Promise.all(folders.map((folder) => openStatistics(folder)));
  const model = digestOfModel(source.model);
  const strange = parts.findIndex(({ header }) => header.model !== model);
  if (strange >= 0)
    fail('statistics', folders[strange] as string, `the statistics were made from another model than ${source.path}`);
  const merged = mergeStatistics(parts);
  const missing = projections.find(({ group }) => !merged.groups.includes(group));
  if (missing !== undefined)
    fail('statistics', folders[0] as string, `the statistics lack the input of ${missing.id}, which is in scope`);
  return merged;
}

/** Where statistics are kept: in the work folder, else in memory, else, where they take more than is spare, in files until the end. */
function placeFor(
  projections: readonly Projection[],
  machine: Machine,
  name: string,
): { readonly folder: string | undefined; close(): void } {
  const stay = (): void => undefined;
  const kept = keptIn(machine, name);
  if (kept !== undefined) return { folder: kept, close: stay };
  const inputs = new Map(projections.map(({ group, k }) => [group, k]));
  const bytes = [...inputs.values()].reduce((sum, k) => sum + 8 * k * k, 0);
  if (bytes <= machine.memoryBytes) return { folder: undefined, close: stay };
  const folder = temporaryFolder(name, machine.temporary);
  return { folder, close: () => rmSync(folder, { recursive: true, force: true }) };
}
