/** Where the verbs that start from a set may write. */
import { basename, dirname, join } from 'node:path';
import { fail } from '../diagnostics.js';
import { type Listed, listedBy } from '../files/listed-files.js';
import { guardOutputs, type Output, type OutputCheck, realPath } from '../outputs/index.js';

/** A model that is to be written from a set. */
export interface SetOutput extends Omit<OutputCheck, 'files' | 'own'> {
  /** The .json of the set. */
  readonly set: string;
  /** The .onnx file; absent where its name is found later. */
  readonly output?: string | undefined;
  /** What it holds: `int4`, or undefined for a mix, which may replace another mix of the set. */
  readonly name?: string;
  /** `set`: a graph on the set's data, or a cut copy elsewhere; `pair`: a graph with a data file of its own. */
  readonly form: 'set' | 'pair';
  readonly files?: readonly Output[];
}

/** Fails like `guardOutputs`. Files of the set are inputs; one of its graphs may be replaced by a graph of the same kind. */
export function guardSetOutput(asked: SetOutput): void {
  const { set, output, form, files = [], inputs = [], ...check } = asked;
  if (output !== undefined && !basename(output).endsWith('.onnx'))
    fail('bad-usage', output, 'A model is a file that ends in .onnx');
  const listed = listedBy(set);
  const folder = dirname(set);
  const graphs = listed?.graphs.map((file) => join(folder, file)).filter((path) => !mayReplace(asked, path)) ?? [];
  const data = listed?.data === undefined ? [] : [join(folder, listed.data)];
  const models = output === undefined ? [] : modelFilesOf(asked, output, listed);
  guardOutputs({ ...check, inputs: [set, ...data, ...graphs, ...inputs], files: [...models, ...files], own: set });
}

/** The manifest of a model that is cut from a set: `NAME.json` beside `NAME.onnx`. */
export const manifestBeside = (output: string): string =>
  join(dirname(output), `${basename(output).replace(/\.onnx$/i, '')}.json`);

function modelFilesOf({ set, form }: SetOutput, output: string, listed: Listed | undefined): readonly Output[] {
  const model = { path: output, kind: 'model' } as const;
  if (form === 'pair') return [model, { path: `${output}_data`, kind: 'data' }];
  if (isSameFolder(set, output)) return [model];
  const data = listed?.data === undefined ? [] : [join(dirname(output), listed.data)];
  return [
    model,
    { path: manifestBeside(output), kind: 'cut-manifest' },
    ...data.map((path) => ({ path, kind: 'set-data' }) as const),
  ];
}

/** True for a graph of the set that the output replaces by the same precision, or a mix by another. */
function mayReplace({ output, form, name }: SetOutput, graph: string): boolean {
  if (output === undefined || form === 'pair' || realPath(output) !== realPath(graph)) return false;
  return isNamed(basename(graph), name);
}

function isNamed(file: string, name: string | undefined): boolean {
  const isPrecision = /_int[2-8]\.onnx$/.test(file);
  return name === undefined ? !isPrecision : !isPrecision || file.endsWith(`_${name}.onnx`);
}

/** True when `output` is in the folder of the set, by whatever path. */
export const isSameFolder = (set: string, output: string): boolean =>
  realPath(dirname(output)) === realPath(dirname(set));
