/**
 * Output is written beside its target under a temporary name and renamed when complete: whoever looks at the target sees the
 * old file or the new one, never half of one.
 */
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { CompilerError, type ErrorCode, fail } from '../diagnostics.js';
import { stagedName } from './temporary.js';

/** Writes one file: `write` gets the temporary path. */
export function staged<T>(target: string, write: (temporary: string) => T): T {
  return stagedFiles([target], ([temporary]) => write(temporary as string));
}

/**
 * Writes several files: `write` gets their temporary paths in the same order. They are renamed in that order once all are
 * complete, so name data files before the graphs that need them. A file that `write` did not make is left out. A graph whose data
 * file is replaced is removed before that: whatever the instant, no graph is there with the data of another.
 */
export function stagedFiles<T>(targets: readonly string[], write: (temporaries: readonly string[]) => T): T {
  const stage = openStage(targets);
  try {
    const result = write(stage.temporaries);
    stage.publish();
    return result;
  } catch (error) {
    throw stage.abandon(error);
  }
}

/** `stagedFiles` for writers that wait. */
export async function stagedFilesAsync<T>(
  targets: readonly string[],
  write: (temporaries: readonly string[]) => Promise<T>,
): Promise<T> {
  const stage = openStage(targets);
  try {
    const result = await write(stage.temporaries);
    stage.publish();
    return result;
  } catch (error) {
    throw stage.abandon(error);
  }
}

/**
 * Writes a whole folder: `write` fills a temporary folder beside the target. When the target exists its other files stay and
 * files of the same name are replaced one by one: data files first, then graphs, then the others, `last` at the end. A graph goes
 * before its data file is replaced, as in `stagedFiles`.
 */
export async function stagedFolder<T>(
  target: string,
  write: (temporary: string) => Promise<T>,
  last: readonly string[] = [],
): Promise<T> {
  const stage = openStage([target]);
  const [temporary] = stage.temporaries as [string];
  try {
    mkdirSync(temporary);
    const result = await write(temporary);
    publishFolder(temporary, target, last);
    return result;
  } catch (error) {
    throw stage.abandon(error);
  }
}

interface Stage {
  readonly temporaries: readonly string[];
  publish(): void;
  /** Removes what was written and says what to throw. */
  abandon(error: unknown): unknown;
}

/** Folders made for outputs, deepest first; those still empty when a stage is given up are removed again. */
const folders: Set<string> = new Set();

/** Temporary paths not yet published, removed when the process is told to exit in between. */
const pending: Set<string> = new Set();

function openStage(targets: readonly string[]): Stage {
  const temporaries = targets.map(stagedName);
  makeFolders(targets);
  if (pending.size === 0) process.once('exit', removePending);
  for (const path of temporaries) pending.add(path);
  return {
    temporaries,
    publish: () => {
      const pairs = temporaries.map((path, index) => [path, targets[index] as string] as const);
      const made = pairs.filter(([path]) => exists(path));
      // Whatever can fail comes before the first rename.
      for (const [path, target] of made) prepare(path, target);
      const graphs = made.map(([, target]) => target);
      for (const [path, target] of made) replace(path, target, graphs);
      forget(temporaries);
    },
    abandon: (error) => {
      for (const path of temporaries) rmSync(path, { recursive: true, force: true });
      removeEmptyFolders();
      forget(temporaries);
      return explained(error, targets[0] ?? '');
    },
  };
}

function makeFolders(targets: readonly string[]): void {
  for (const folder of new Set(targets.map((target) => resolve(dirname(target))))) {
    try {
      const first = mkdirSync(folder, { recursive: true });
      if (first === undefined) continue;
      for (let made = folder; made.length >= first.length; made = dirname(made)) folders.add(made);
    } catch (error) {
      removeEmptyFolders();
      throw explained(error, folder);
    }
  }
}

function removeEmptyFolders(): void {
  for (const folder of folders) {
    try {
      rmdirSync(folder);
      folders.delete(folder);
    } catch {
      // It holds something by now.
    }
  }
}

function prepare(temporary: string, target: string): void {
  if (statSync(target, { throwIfNoEntry: false })?.isDirectory())
    fail('output-exists', target, 'a folder has this name');
  sync(temporary);
}

function publishFolder(temporary: string, target: string, last: readonly string[]): void {
  const files = readdirSync(temporary, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(temporary.length + 1))
    .sort((a, b) => rankOf(a, last) - rankOf(b, last) || (a < b ? -1 : 1));
  for (const file of files) prepare(join(temporary, file), join(target, file));
  if (exists(target)) {
    for (const file of files) mkdirSync(dirname(join(target, file)), { recursive: true });
    const graphs = files.map((file) => join(target, file));
    for (const file of files) replace(join(temporary, file), join(target, file), graphs);
    rmSync(temporary, { recursive: true, force: true });
  } else renameSync(temporary, target);
  forget([temporary]);
}

/** Data files are there before the graphs that read them, and what lists both comes behind. */
function rankOf(file: string, last: readonly string[]): number {
  if (last.includes(file)) return 3;
  if (/[._]data$/.test(file)) return 0;
  return file.endsWith('.onnx') ? 1 : 2;
}

/** Renames a file into place. Where it is the data file `GRAPH.data` or `GRAPH_data` of one of `graphs` and replaces another, the old graph is removed before. */
function replace(temporary: string, target: string, graphs: readonly string[]): void {
  const graph = graphs.find((path) => target === `${path}_data` || target === `${path}.data`);
  if (graph !== undefined && exists(target)) rmSync(graph, { force: true });
  renameSync(temporary, target);
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r+');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

function forget(paths: readonly string[]): void {
  for (const path of paths) pending.delete(path);
  if (pending.size === 0) process.removeListener('exit', removePending);
}

function removePending(): void {
  for (const path of pending) rmSync(path, { recursive: true, force: true });
  removeEmptyFolders();
}

const REASONS: Readonly<Record<string, ErrorCode>> = {
  ENOSPC: 'disk-full',
  EDQUOT: 'disk-full',
  EACCES: 'output-exists',
  EPERM: 'output-exists',
  EROFS: 'output-exists',
  ENOENT: 'output-exists',
  ENOTDIR: 'output-exists',
  EEXIST: 'output-exists',
  EISDIR: 'output-exists',
  ENAMETOOLONG: 'output-exists',
};

/** What an error of the system means for an output; other errors stay as they are. */
export function explained(error: unknown, target: string): unknown {
  const code = REASONS[(error as NodeJS.ErrnoException | undefined)?.code ?? ''];
  if (error instanceof CompilerError || code === undefined) return error;
  return new CompilerError(code, target, `the output cannot be written: ${(error as Error).message}`);
}
