/** How to tell a file that this tool wrote from one that it did not. */
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { beginningOf, listedBy, namesIn } from '../files/listed-files.js';
import { isPackaged } from '../files/package-list.js';
import { modelFiles } from '../onnx/convert/check-model.js';

/** What a file is meant to be. `data` is the data file `GRAPH_data` of a model, `set-data` that of a set. */
export type OutputKind =
  | 'model'
  | 'data'
  | 'set-data'
  | 'manifest'
  | 'cut-manifest'
  | 'report'
  | 'sensitivity'
  | 'sweep'
  | 'page'
  | 'junit'
  | 'statistics'
  | 'bits'
  | 'packaged'
  | 'sarif'
  | 'summary'
  | 'plot'
  | 'comparison'
  | 'provenance'
  | 'plan'
  | 'jobs';

const BEGINNING = 4096;

const formatted =
  (format: string) =>
  (path: string): boolean =>
    new RegExp(`^\\{\\s*"format"\\s*:\\s*"${format}"`).test(beginningOf(path, BEGINNING));

const OWN: Readonly<Record<OutputKind, (path: string) => boolean>> = {
  model: (path: string): boolean => modelFiles(path)?.isOwn ?? false,
  data: (path: string): boolean => readersOf(path).length === 0,
  'set-data': (): boolean => true,
  manifest: formatted('matquant-set'),
  /** The manifest of one model: replacing it forgets no other graph. */
  'cut-manifest': (path: string): boolean =>
    listedBy(path)?.graphs.every((file) => file.replace(/\.onnx$/i, '.json') === basename(path)) ?? false,
  report: formatted('matquant-report'),
  sensitivity: formatted('matquant-sensitivity'),
  sweep: formatted('matquant-sweep'),
  page: (path: string): boolean => beginningOf(path, BEGINNING).includes(': report of a nested set</title>'),
  junit: (path: string): boolean => /<testsuite [\s\S]*(matquant\.verify|tests="0")/.test(beginningOf(path, BEGINNING)),
  statistics: (path: string): boolean => /"digest"[\s\S]*"firstWeight"/.test(beginningOf(path, BEGINNING)),
  bits: isBitsFile,
  packaged: isPackaged,
  sarif: (path: string): boolean => /"name"\s*:\s*"onnx-matquant"/.test(beginningOf(path, BEGINNING)),
  summary: (path: string): boolean => beginningOf(path, BEGINNING).startsWith('<!-- matquant verify -->'),
  plot: (path: string): boolean => beginningOf(path, BEGINNING).includes('<title>Measured figures as shares of'),
  comparison: (path: string): boolean => beginningOf(path, BEGINNING).startsWith('<!-- matquant compare -->'),
  provenance: (path: string): boolean =>
    /^\{\s*"_type"\s*:\s*"https:\/\/in-toto\.io/.test(beginningOf(path, BEGINNING)),
  plan: formatted('matquant-plan'),
  jobs: (path: string): boolean => /^(#!.*\n)?# matquant emit:/.test(beginningOf(path, BEGINNING)),
};

/** True when this tool wrote the existing file at `path` for that purpose. */
export const isOwnFile = (path: string, kind: OutputKind): boolean => OWN[kind](path);

/** Graphs of the folder that read a data file, but for the one it is named after. */
function readersOf(path: string): readonly string[] {
  const folder = dirname(path);
  return namesIn(folder)
    .filter((name) => /\.onnx$/i.test(name) && `${name}_data` !== basename(path))
    .map((name) => join(folder, name))
    .filter((graph) => modelFiles(graph)?.data.includes(join(folder, basename(path))));
}

/** A list of bits, or an object from names to bits. */
function isBitsFile(path: string): boolean {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    return typeof value === 'object' && value !== null && Object.values(value).every((bits) => isBits(bits));
  } catch {
    return false;
  }
}

const isBits = (value: unknown): boolean => typeof value === 'number' && Number.isInteger(value) && value > 0;
