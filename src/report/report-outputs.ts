/** Where a report may be written. */
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { namesIn, startsAsManifest } from '../files/listed-files.js';
import { guardOutputs, type Output, realPath } from '../outputs/index.js';
import { type OpenSet, stemOf } from '../set/index.js';
import type { ReportOptions } from './report.js';
import { dataBeside, EVAL_SUFFIX, SWEEP_SUFFIX } from './report-files.js';

/** Fails when the page or its data would replace a file of the set, a result that is read, or a file that is not ours. */
export function guardReport(set: OpenSet, page: string, options: ReportOptions): void {
  const { evaluations = [], sweeps = [], run, overwrite } = options;
  const { folder, manifest, path, dataPath } = set;
  const json = dataBeside(page);
  const own = join(folder, `${stemOf(set)}.report.json`);
  // What compile wrote goes into the report, whose data then take its place; that of another set stays.
  const isOwn = realPath(json) === realPath(own);
  if (!isOwn && !overwrite && startsAsManifest(json.replace(/\.report\.json$/, '.json')))
    fail('output-exists', json, 'The file belongs to another set: choose another path or set `overwrite`');
  const results = namesIn(folder).filter((name) => name.endsWith(EVAL_SUFFIX) || name.endsWith(SWEEP_SUFFIX));
  const beside = ['compile.json', 'sensitivity.json'].map((suffix) => `${stemOf(set)}.${suffix}`);
  const inside = [...manifest.graphs.map(({ file }) => file), ...results, ...beside].map((name) => join(folder, name));
  const files: readonly Output[] = [
    { path: page, kind: 'page' },
    { path: json, kind: 'report' },
  ];
  const inputs = [path, dataPath, ...inside, ...(isOwn ? [] : [own]), ...evaluations, ...sweeps, run];
  guardOutputs({ inputs, files, own: path, overwrite });
}
