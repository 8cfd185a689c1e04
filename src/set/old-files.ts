/**
 * What is left of an earlier set when a new one has taken its place. Data files are removed last and only when no graph of the folder
 * reads them: at each moment a graph that is there has its data.
 */

import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { isFile } from '../files/file-state.js';
import { listedBy, listedIn, namesIn } from '../files/listed-files.js';
import { modelFiles } from '../onnx/convert/check-model.js';
import { stemOfData } from './set-identity.js';

/** Files of earlier runs that a new set may make useless. */
export interface OldFiles {
  readonly folder: string;
  /** File names. */
  readonly data: ReadonlySet<string>;
}

/**
 * The data files that an old manifest and old graphs of ours name, but for those that another manifest of the folder lists. To be
 * called before they are replaced.
 */
export function oldFiles(folder: string, manifest: string, graphs: readonly string[]): OldFiles {
  const files = graphs.map((path) => modelFiles(path)).filter((each) => each?.isOwn);
  const named = [listedBy(manifest)?.data, ...files.flatMap((each) => each?.data.map((path) => basename(path)))];
  return { folder, data: withoutOthers(folder, manifest, named) };
}

/** All data files of sets called `stem` in a folder, whether or not a manifest names them. */
export function oldSet(folder: string, stem: string, graphs: readonly string[]): OldFiles {
  const manifest = join(folder, `${stem}.json`);
  const named = namesIn(folder).filter((name) => stemOfData(name) === stem);
  return { folder, data: withoutOthers(folder, manifest, [...oldFiles(folder, manifest, graphs).data, ...named]) };
}

function withoutOthers(folder: string, manifest: string, names: readonly (string | undefined)[]): ReadonlySet<string> {
  const others = listedIn(folder).filter((listed) => basename(listed.manifest) !== basename(manifest));
  const taken = new Set(others.map(({ data }) => data));
  return new Set(names.filter((name) => name !== undefined && !taken.has(name)) as string[]);
}

/** Removes old data files that no graph of the folder reads any more. `kept` are the paths of the new files. */
export function removeUnused({ folder, data }: OldFiles, kept: readonly string[]): void {
  const names = new Set(kept.map((path) => basename(path)));
  const useless = [...data].filter((name) => !names.has(name) && isFile(join(folder, name)));
  if (useless.length === 0) return;
  const read = new Set(graphsIn(folder).flatMap((path) => modelFiles(path)?.data ?? []));
  for (const name of useless) if (!read.has(join(folder, name))) rmSync(join(folder, name), { force: true });
}

/** `removeUnused`, for a set that takes the place of another: graphs of ours on old data, mixes among them, go before their data. */
export function removeReplaced(old: OldFiles, kept: readonly string[]): void {
  const names = new Set(kept.map((path) => basename(path)));
  const gone = new Set([...old.data].filter((name) => !names.has(name)).map((name) => join(old.folder, name)));
  for (const path of gone.size === 0 ? [] : graphsIn(old.folder)) {
    if (names.has(basename(path))) continue;
    const files = modelFiles(path);
    if (files?.isOwn && files.data.some((data) => gone.has(data))) rmSync(path, { force: true });
  }
  removeUnused(old, kept);
}

const graphsIn = (folder: string): readonly string[] =>
  namesIn(folder)
    .filter((name) => /\.onnx$/i.test(name))
    .map((name) => join(folder, name));
