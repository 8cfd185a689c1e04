/** Which set a model file belongs to, so that a message about the file can name the set. */

import { basename, dirname, join } from 'node:path';
import { CompilerError, isRuntimeFailure } from '../diagnostics.js';
import { namesIn } from '../files/listed-files.js';
import { openSet } from './set-manifest.js';

/** The manifest beside a model that lists it, or undefined. */
export function setOfGraph(path: string): string | undefined {
  const folder = dirname(path);
  return manifestsIn(folder).find((manifest) => lists(manifest, basename(path)));
}

/** An error about a model of a set in the words of the set: its data or graph is not as it was written. */
export function inWordsOfSet(error: unknown, models: readonly string[]): unknown {
  if (!isRuntimeFailure(error) || !models.includes(error.at)) return error;
  const set = setOfGraph(error.at);
  if (set === undefined) return error;
  return new CompilerError('damaged', set, `${basename(error.at)} of the set cannot be run: ${error.message}`);
}

function manifestsIn(folder: string): readonly string[] {
  return namesIn(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => join(folder, name));
}

function lists(manifest: string, file: string): boolean {
  try {
    return openSet(manifest).manifest.graphs.some((graph) => graph.file === file);
  } catch {
    // Another file of JSON, or a manifest that is damaged itself.
    return false;
  }
}
