/** What files of a compilation are called in the folder of a worker: what lies together stays together, wherever it came from. */
import { basename, dirname, isAbsolute, relative, resolve } from 'node:path';
import type { CompileOptions } from '../../../compile/index.js';

/**
 * Names of files: `inputs/N/…`, by the folder that holds the one of the model, that of each folder of statistics, or the one that a file
 * lies in. Configurations are looked for beside the model's folder too.
 */
export function inputLayout({
  folder,
  statistics = [],
}: Pick<CompileOptions, 'folder' | 'statistics'>): (path: string) => string {
  const roots = [folder.folder, ...statistics].map((place) => dirname(resolve(place)));
  return (path) => {
    const whole = resolve(path);
    let at = roots.findIndex((root) => wayTo(root, whole) !== undefined);
    if (at < 0) at = roots.push(dirname(whole)) - 1;
    return `inputs/${at}/${wayTo(roots[at] as string, whole) ?? basename(whole)}`;
  };
}

/** The path below a root with slashes; undefined for one that is not there. */
function wayTo(root: string, path: string): string | undefined {
  const way = relative(root, path).replaceAll('\\', '/');
  return way === '' || way.startsWith('../') || way === '..' || isAbsolute(way) ? undefined : way;
}
