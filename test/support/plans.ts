/** A plan of the smallest model with little text: three shards, random token ids, a table and two layers. */
import { cpSync, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { digestOfWhole } from '../../src/files/range-digests.js';
import type { PlanInput } from '../../src/work/plan.js';
import { COMPILE } from './compile.js';
import { filesBelow } from './damage.js';
import { heldWindows, mistral, writeIds } from './stories.js';

/** Windows of three lengths, which are three batches. */
export function writeWindows(path: string): string {
  const windows = heldWindows(9).map((window, at) => window.slice(0, 64 - 8 * (at % 3)));
  return writeIds(path, windows);
}

/** Options of a plan and of the compilation that gives the same set. */
export const planned = (ids: string, recipe: object = {}, model: string = mistral): Omit<PlanInput, 'output'> => ({
  ...COMPILE,
  model,
  recipe: { method: 'best', block: 64, bits: [8, 4, 2], tokens: 576, window: 64, embeddingBits: 8, ...recipe },
  text: { ids },
  shards: 3,
});

/** Times of the last write of the markers of units that are done. */
export function doneIn(plan: string): Readonly<Record<string, number>> {
  const folder = join(plan, 'done');
  if (!existsSync(folder)) return {};
  const names = readdirSync(folder).filter((name) => !name.startsWith('.'));
  return Object.fromEntries(names.map((name) => [name.replace(/\.json$/, ''), statSync(join(folder, name)).mtimeMs]));
}

/** Copies a plan with the times of its files. */
export const copyPlan = (from: string, to: string): void =>
  cpSync(from, to, { recursive: true, preserveTimestamps: true });

/** Digests of all files of a folder by their paths in it. */
export const snapshot = (folder: string): Readonly<Record<string, string>> =>
  Object.fromEntries(filesBelow(folder, /./).map((path) => [path.slice(folder.length), digestOfWhole(path)]));
