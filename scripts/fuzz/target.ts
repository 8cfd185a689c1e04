/** The build under test, which may be that of another folder: `--root DIR` of the harnesses. */
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

/** The public library of a build. */
export type Library = typeof import('../../src/index.js');

/** The root of this repository. */
export const here: string = fileURLToPath(new URL('../../../', import.meta.url));

export const fixture = (name: string): string => join(here, 'fixtures', name);

/** Loads the library of the build in `root`. */
export function libraryOf(root: string): Promise<Library> {
  return import(pathToFileURL(join(resolve(root), 'dist/src/index.js')).href) as Promise<Library>;
}

/** The code of a refusal by this or another build, or undefined for anything else that was thrown. */
export function codeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name !== 'CompilerError') return undefined;
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && code !== 'bug' ? code : undefined;
}
