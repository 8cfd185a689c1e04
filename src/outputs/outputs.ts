/**
 * Where a verb may write. No output is an input, by whatever path, link or spelling, and an existing file that this tool did not
 * write, or that belongs to another set, is not replaced unless the user says so. Checked before anything is written.
 */
import { realpathSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fail } from '../diagnostics.js';
import { requireFileName } from '../files/file-names.js';
import { listedBy, listedIn, namesIn } from '../files/listed-files.js';
import { modelFiles } from '../onnx/convert/check-model.js';
import { isOwnFile, type OutputKind } from './own-files.js';

export interface Output {
  readonly path: string;
  readonly kind: OutputKind;
}

/** What a verb reads and writes. */
export interface OutputCheck {
  /** Models that are read; their data files count too. */
  readonly models?: readonly string[];
  /** Other files that are read. Undefined ones are left out. */
  readonly inputs?: readonly (string | undefined)[];
  /** Folders whose files are read. */
  readonly inputFolders?: readonly string[];
  readonly files: readonly Output[];
  /** Folders that are written into. */
  readonly folders?: readonly (string | undefined)[];
  /** The manifest that the outputs belong to: files that it lists may be replaced. */
  readonly own?: string;
  /** Replace files that are not ours. Inputs are never replaced. */
  readonly overwrite?: boolean | undefined;
}

/** Fails with `output-exists`, or with `bad-usage` for the name of a file that cannot be written. */
export function guardOutputs(check: OutputCheck): void {
  const { models = [], inputs = [], inputFolders = [], files, overwrite = false } = check;
  const named = [...models, ...inputs.filter((path) => path !== undefined)];
  for (const { path } of files) requireFileName(path);
  refuseInputs(check, named);
  refuseTwice(files);
  for (const folder of check.folders ?? []) if (folder !== undefined) requireFolder(folder, inputFolders);
  for (const folder of new Set(files.map(({ path }) => dirname(path)))) refuseFileAbove(folder);
  // The headers of models are read behind what the names alone decide.
  const data = models.flatMap((path) => modelFiles(path)?.data ?? []);
  const inside = inputFolders.flatMap((folder) => namesIn(folder).map((name) => join(folder, name)));
  refuseInputs(check, [...data, ...inside]);
  for (const output of files) {
    if (statOf(output.path)?.isDirectory()) fail('output-exists', output.path, 'A folder has this name');
    if (!overwrite) refuseForeign(output, check.own);
  }
}

function refuseInputs({ files }: OutputCheck, inputs: readonly string[]): void {
  const known = new Map(inputs.flatMap((path) => identitiesOf(path).map((identity) => [identity, path] as const)));
  for (const { path } of files) {
    const input = identitiesOf(path)
      .map((identity) => known.get(identity))
      .find((found) => found !== undefined);
    if (input === undefined) continue;
    const which = input === path ? 'This file' : `This is ${input}, which`;
    fail('output-exists', path, `${which} is read by the same command and would be lost`);
  }
}

/** What a path stands for: the file itself, which links share, and its real path. */
function identitiesOf(path: string): readonly string[] {
  const stats = statOf(path);
  const real = realPath(path);
  return stats === undefined || stats.ino === 0 ? [real] : [real, `${stats.dev}:${stats.ino}`];
}

function refuseTwice(files: readonly Output[]): void {
  const paths = files.map(({ path }) => realPath(path).toLowerCase());
  const twice = files.find((_, at) => paths.indexOf(paths[at] as string) < at);
  if (twice !== undefined) fail('bad-usage', twice.path, 'Two outputs would have this name');
}

function requireFolder(folder: string, inputFolders: readonly string[]): void {
  const stats = statOf(folder);
  if (stats !== undefined && !stats.isDirectory()) fail('output-exists', folder, 'This is a file, not a folder');
  const real = realPath(folder);
  const input = inputFolders.find((each) => realPath(each) === real);
  if (input !== undefined) fail('output-exists', folder, 'This folder is read by the same command');
}

/** Fails where the folder, or the nearest above it that exists, is a file. */
function refuseFileAbove(folder: string): void {
  const [stats, above] = [statOf(folder), dirname(folder)];
  if (stats === undefined && above !== folder) refuseFileAbove(above);
  else if (stats?.isDirectory() === false) fail('output-exists', folder, 'This is a file, not a folder');
}

function refuseForeign({ path, kind }: Output, own: string | undefined): void {
  const stats = statOf(path);
  if (stats === undefined) return;
  const ownPath = own === undefined ? undefined : realPath(own);
  const name = basename(path);
  const other = listedIn(dirname(path)).find(
    ({ manifest, data, graphs }) => realPath(manifest) !== ownPath && (data === name || graphs.includes(name)),
  );
  const say = 'choose another path or set `overwrite`';
  // A model that was cut from a set has a manifest with nothing else in it, which goes with it.
  const isCut = other !== undefined && kind === 'model' && isCutOf(other.manifest, path);
  if (other !== undefined && kind !== 'set-data' && !isCut)
    fail('output-exists', path, `The file belongs to the set ${other.manifest}: ${say}`);
  if (stats.size > 0 && !isOwnFile(path, kind))
    fail('output-exists', path, `There is a file of this name that this tool did not write: ${say}`);
}

/** True when the manifest is that of `NAME.onnx` alone: `NAME.json` with one graph. */
export function isCutOf(manifest: string, output: string): boolean {
  const graphs = listedBy(manifest)?.graphs ?? [];
  const stem = basename(output).replace(/\.onnx$/i, '');
  return basename(manifest) === `${stem}.json` && graphs.length === 1 && graphs[0] === basename(output);
}

/** The path with all links followed; of a file that is not there the folder's. */
export function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const folder = dirname(resolve(path));
    return folder === resolve(path) ? folder : join(realPath(folder), basename(path));
  }
}

/** Undefined for whatever cannot be looked at. */
function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
