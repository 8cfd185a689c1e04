/** Which models a path stands for: those of a set, those of a folder, or one. */
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { CompilerError, fail } from '../../diagnostics.js';
import { openSetOf } from '../../set/index.js';

/** A model by the name that budgets and tables call it. */
export interface NamedModel {
  /** `int4` or the name of a mix; the file name without suffix where it says no more. */
  readonly name: string;
  readonly path: string;
}

/** The models of a set (.json or its folder), of a folder without a set, or one .onnx file. */
export function modelsOf(path: string): readonly NamedModel[] {
  if (/\.onnx$/i.test(path)) return [{ name: shortName(path), path }];
  try {
    const { manifest, folder } = openSetOf(path);
    return manifest.graphs.map(({ name, file }) => ({ name, path: join(folder, file) }));
  } catch (error) {
    const isPlainFolder = error instanceof CompilerError && error.code === 'not-a-set' && isFolder(path);
    if (!isPlainFolder) throw error;
    const found = modelsIn(path);
    return found.length > 0 ? found : fail('not-a-set', path, 'The folder holds neither a set nor .onnx files');
  }
}

/** The models that a budget's name stands for. Fails with `bad-usage` where it is none of them. */
export function modelNamed(models: readonly NamedModel[], name: string, at: string): NamedModel {
  const found =
    models.find((model) => model.name === name) ??
    models.find(({ path }) => basename(path) === name || basename(path) === `${name}.onnx`);
  if (found !== undefined) return found;
  const names = models.map((model) => model.name).join(', ');
  return fail('bad-usage', at, `There is no model ${name} to check; the models are ${names}`);
}

/** `int4` of `model_int4.onnx`, also of paths of other systems. */
export function shortName(path: string): string {
  const stem = (path.split(/[/\\]/).at(-1) ?? path).replace(/\.onnx$/i, '');
  return /_(int[2-8])$/.exec(stem)?.[1] ?? stem;
}

/** Models of a folder, by short names where these differ. */
function modelsIn(folder: string): readonly NamedModel[] {
  const paths = readdirSync(folder)
    .filter((name) => /\.onnx$/i.test(name))
    .sort()
    .map((name) => join(folder, name));
  const short = paths.map(shortName);
  const isUnique = new Set(short).size === short.length;
  return paths.map((path, at) => ({
    name: isUnique ? (short[at] as string) : basename(path).replace(/\.onnx$/i, ''),
    path,
  }));
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
