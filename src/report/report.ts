/** Writes the report of a set: one HTML page that loads nothing, and the same data as JSON. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import { readSensitivity, sensitivityPath } from '../mix/index.js';
import { refuseUnsound } from '../onnx/convert/check-model.js';
import { checkOptions } from '../options/index.js';
import { examineSet, openSetOf, readCompiled, stemOf } from '../set/index.js';
import { reportData } from './report-data.js';
import { readEvaluations, readRun, readSweeps, writeReport } from './report-files.js';
import { guardReport } from './report-outputs.js';

/** The options of `report`. */
export interface ReportOptions {
  /** Folder of a set, or its .json where a folder holds several. */
  readonly folder: string;
  /** The .html file to write; NAME.report.html beside the set by default. */
  readonly output?: string;
  /** Saved results of `eval --json`, beside those named *.eval.json in the folder of the set. */
  readonly evaluations?: readonly string[];
  /** Files that `sweep` wrote, beside those named *.sweep.json in the folder of the set. */
  readonly sweeps?: readonly string[];
  /** Saved result of `compile --json`, for times and memory; NAME.compile.json in the folder of the set by default. */
  readonly run?: string;
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** The page that was written. */
export interface ReportResult {
  readonly path: string;
  readonly bytes: number;
  /** The same data as JSON. */
  readonly json: { readonly path: string; readonly bytes: number };
  /** What the report could not include, as sentences. */
  readonly notes: readonly string[];
}

/**
 * Writes one HTML page about a set that loads nothing, and the same data as JSON. Fails with `not-a-set`, `file-missing`,
 * `report-input` or `bad-usage`.
 */
export async function report(input: ReportOptions, context: Context = silentContext()): Promise<ReportResult> {
  const options = checkOptions<ReportOptions>('report', input);
  const set = openSetOf(options.folder);
  const path = options.output ?? join(set.folder, `${stemOf(set)}.report.html`);
  if (!/\.html?$/i.test(path)) fail('bad-usage', path, 'A report is a file that ends in .html');
  guardReport(set, path, options);
  for (const finding of examineSet(set, false)) refuseUnsound(finding);
  const data = reportData({
    set,
    compiled: readCompiled(set),
    evaluations: readEvaluations(set.folder, options.evaluations ?? []),
    sweeps: readSweeps(set, options.sweeps ?? []),
    sensitivities: readSensitivity(sensitivityPath(set), set.manifest),
    run: readRun(set, options.run),
  });
  context.signal.throwIfAborted();
  // Loaded here because the plotting library takes a third of a second, which no other verb should wait for.
  const { renderPage } = await import('./page/page.js');
  const { json } = writeReport(path, data, await renderPage(data));
  const bytesOf = (file: string): number => statSync(file).size;
  return { path, bytes: bytesOf(path), json: { path: json, bytes: bytesOf(json) }, notes: data.notes };
}
