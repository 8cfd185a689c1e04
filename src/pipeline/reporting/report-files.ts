/** The files a report is made from: the set, what `compile` wrote beside it, and saved results of `eval` and `compile`. */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import type { z } from 'zod';
import { startsAsManifest } from '../../convert/listed-files.js';
import { staged } from '../../convert/output.js';
import { digestOfSet } from '../../convert/set-identity.js';
import { type OpenSet, openSet } from '../../convert/set-manifest.js';
import { fail } from '../../diagnostics.js';
import { sealedJson } from '../../files/seal.js';
import type { CompiledFacts, ReportData, RunFacts } from '../../report/page/data.js';
import { schemaIssues } from '../../schema-issues.js';
import { readSavedJson } from '../saved-json.js';
import {
  evaluationFile,
  reportFile,
  runFile,
  type SavedEvaluation,
  type SavedSweep,
  sweepFile,
} from './report-schema.js';

/** The suffixes of results that a report picks up in the folder of the set. */
export const EVAL_SUFFIX = '.eval.json';
export const SWEEP_SUFFIX = '.sweep.json';

/** Opens the one set of a folder, or the set of a .json file. */
export function openReportSet(path: string): OpenSet {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) fail('file-missing', path, 'There is no such folder');
  if (!stats.isDirectory()) return openSet(path);
  const names = readdirSync(path)
    .filter((name) => /(?<!\.(?:report|eval|compile))\.json$/.test(name))
    .filter((name) => startsAsManifest(join(path, name)))
    .sort();
  const [first, ...others] = names;
  if (first === undefined) fail('not-a-set', path, 'The folder holds no set');
  if (others.length > 0)
    fail(
      'bad-usage',
      path,
      `The folder holds several sets; name one of ${names.map((name) => join(path, name)).join(', ')}`,
    );
  return openSet(join(path, first));
}

/** File name stem of a set: NAME of NAME.json. */
export const stemOf = ({ path }: OpenSet): string => basename(path).replace(/\.json$/, '');

/** What `compile` wrote beside the set; undefined when it is not there. */
export function readCompiled(set: OpenSet): CompiledFacts | undefined {
  const path = join(set.folder, `${stemOf(set)}.report.json`);
  if (!isFile(path)) return undefined;
  const { compiled: facts, set: of } = readChecked(path, reportFile);
  if (of !== undefined && of !== digestOfSet(set.manifest))
    fail('report-input', path, 'The file belongs to another set');
  const ids = set.manifest.layout.projections.map(({ id }) => id).join();
  if (
    facts !== undefined &&
    facts.projections
      .map(({ id }) => id)
      .sort()
      .join() !== ids.split(',').sort().join()
  )
    fail('report-input', path, 'The file belongs to another set');
  return facts;
}

/** Writes what `compile` knows of a set with these digests into the staged folder. */
export function writeCompiled(path: string, facts: CompiledFacts, of: Parameters<typeof digestOfSet>[0]): void {
  const file = { format: 'matquant-report', version: 1, set: digestOfSet(of), compiled: facts };
  writeFileSync(path, sealedJson(reportFile.parse(file)));
}

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

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

function readChecked<T>(path: string, schema: z.ZodType<T>): T {
  if (!isFile(path)) fail('file-missing', path, 'There is no such file');
  const parsed = readSavedJson(path);
  const result = schema.safeParse(parsed);
  if (result.success) return result.data;
  return fail('report-input', path, `The file is not valid: ${schemaIssues(result.error, parsed)}`);
}
