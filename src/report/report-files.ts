/** The files a report is made from: the set, what `compile` wrote beside it, and saved results of `eval` and `compile`. */
import { readdirSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { z } from 'zod';
import { fail } from '../diagnostics.js';
import { isFile } from '../files/file-state.js';
import { sealedJson } from '../files/seal.js';
import { staged } from '../files/staging.js';
import { digestOfSet, type OpenSet, readChecked, stemOf } from '../set/index.js';
import type { ReportData, RunFacts } from './page/data.js';
import { evaluationFile, runFile, type SavedEvaluation, type SavedSweep, sweepFile } from './report-schema.js';

/** The suffixes of results that a report picks up in the folder of the set. */
export const EVAL_SUFFIX = '.eval.json';
export const SWEEP_SUFFIX = '.sweep.json';

/** A saved result under the name of its file without the suffix. */
export interface Named<T> {
  readonly name: string;
  readonly saved: T;
}

/** Results of `eval`: those of the folder, then those that were named, each once. */
export const readEvaluations = (folder: string, named: readonly string[]): readonly Named<SavedEvaluation>[] =>
  readNamed(folder, named, EVAL_SUFFIX, evaluationFile);

/** Results of `sweep`, in the same way; all must be of this set. */
export function readSweeps({ folder, manifest }: OpenSet, named: readonly string[]): readonly Named<SavedSweep>[] {
  const own = digestOfSet(manifest);
  const sweeps = readNamed(folder, named, SWEEP_SUFFIX, sweepFile);
  const other = sweeps.find(({ saved }) => saved.set !== own);
  if (other !== undefined) fail('report-input', `${other.name}${SWEEP_SUFFIX}`, 'The file belongs to another set');
  return sweeps;
}

function readNamed<T>(
  folder: string,
  named: readonly string[],
  suffix: string,
  schema: z.ZodType<T>,
): readonly Named<T>[] {
  const found = readdirSync(folder)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .map((name) => join(folder, name));
  const paths = [...new Set([...found, ...named].map((path) => resolve(path)))];
  return paths.map((path) => ({
    name: basename(path)
      .replace(suffix, '')
      .replace(/\.json$/, ''),
    saved: readChecked(path, schema),
  }));
}

/** Times of the run that made the set: the named file, or NAME.compile.json in the folder of the set. */
export function readRun(set: OpenSet, named: string | undefined): RunFacts | undefined {
  const path = named ?? join(set.folder, `${stemOf(set)}.compile.json`);
  return named === undefined && !isFile(path) ? undefined : readChecked(path, runFile);
}

/** The data of a page: `NAME.report.json` beside `NAME.report.html` or `NAME.html`. */
export const dataBeside = (page: string): string => `${page.replace(/(\.report)?\.html?$/i, '')}.report.json`;

/** Writes page and data; the data first, so that a page is never newer than its data. */
export function writeReport(page: string, data: ReportData, html: string): { readonly json: string } {
  const json = dataBeside(page);
  staged(json, (temporary) => writeFileSync(temporary, sealedJson(data)));
  staged(page, (temporary) => writeFileSync(temporary, html));
  return { json };
}
