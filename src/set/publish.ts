/** Puts what was compiled in the place of an earlier result, and takes away what that leaves behind. */
import { join } from 'node:path';
import { stagedFolder } from '../files/staging.js';
import type { Bits } from '../recipe/index.js';
import { oldFiles, oldSet, removeReplaced, removeUnused } from './old-files.js';

/** What is written into a folder, under which names. */
export interface Publication {
  readonly folder: string;
  /** File name stem. */
  readonly stem: string;
  readonly bits: readonly Bits[];
  /** Models of their own instead of a set. */
  readonly standalone: boolean;
}

/** The graph of a precision. */
export const graphName = (stem: string, bits: number): string => `${stem}_int${bits}.onnx`;

/**
 * `write` fills a temporary folder, whose files then replace those of the same names: data, graphs, reports, and the manifest last.
 * Old data files go when the new manifest is there, with the graphs of ours that read them. At each instant every graph in the
 * folder is the old model or the new one.
 */
export async function publish<T extends { readonly files: readonly { readonly path: string }[] }>(
  { folder, stem, bits, standalone }: Publication,
  write: (folder: string) => Promise<T>,
): Promise<T> {
  const graphs = bits.map((each) => join(folder, graphName(stem, each)));
  const before = standalone ? oldFiles(folder, '', graphs) : oldSet(folder, stem, graphs);
  const result = await stagedFolder(folder, write, [`${stem}.json`]);
  const kept = result.files.map(({ path }) => path);
  if (standalone) removeUnused(before, kept);
  else removeReplaced(before, kept);
  return result;
}
