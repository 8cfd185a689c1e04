/** What a user may name where a model is wanted: an ONNX file, a folder, or a repository on the hub. */
import { statSync } from 'node:fs';
import { basename, dirname, join, posix, relative, resolve, sep } from 'node:path';
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { type HubEnvironment, hubEnvironment } from './environment.js';
import { chooseGraph, listAround, listFolder, modelFolder, rootOfGraph } from './folder.js';
import { hubName, openHubModel } from './hub.js';
import type { ModelFolder } from './model-folder.js';

export interface InputOptions {
  /** The graph, where a folder or repository has several. */
  readonly file?: string | undefined;
  /** Where the hub and its cache are; by default what the environment variables of the hub's tools say. */
  readonly hub?: HubEnvironment | undefined;
}

/**
 * The model that a path or `hf:ORG/NAME[@REVISION]` names, downloaded where it must be. A path at which nothing is stays as it is: who
 * opens it says so.
 */
export async function openInput(
  model: string,
  { file, hub = hubEnvironment() }: InputOptions,
  context: Context,
): Promise<ModelFolder> {
  const repository = hubName(model);
  return repository === undefined ? openPath(model, file) : openHubModel(repository, file, hub, context);
}

/** The model at a path. */
export function openPath(model: string, file: string | undefined): ModelFolder {
  const state = statSync(model, { throwIfNoEntry: false });
  if (state?.isDirectory()) {
    const paths = listFolder(model);
    return modelFolder(model, chooseGraph(paths, file, model), paths, originOf(model));
  }
  if (file !== undefined)
    fail('bad-usage', 'file', '`file` names a graph in a folder or repository, and the model is a file');
  if (!state?.isFile()) return { name: stemOf(model), folder: dirname(model), graph: model, configs: {}, notices: [] };
  const root = rootOfGraph(model);
  const graph = relative(root, model).split(sep).join(posix.sep);
  return { ...modelFolder(root, graph, listAround(model), { ...originOf(root), name: stemOf(model) }), graph: model };
}

const stemOf = (path: string): string => basename(path).replace(/\.onnx$/i, '');

/** The name of a folder; in the hub's cache that of the repository, with its commit. */
function originOf(folder: string): Pick<ModelFolder, 'name' | 'origin'> {
  const [, repo, revision] = /[/\\]models--([^/\\]+)[/\\]snapshots[/\\]([0-9a-f]{40})$/.exec(resolve(folder)) ?? [];
  if (repo === undefined || revision === undefined) return { name: basename(resolve(folder)) };
  const name = repo.replaceAll('--', '/');
  return { name: posix.basename(name), origin: { repo: name, revision } };
}

/** Where a set is written by default: `NAME-matquant` beside a file or folder, in the working directory for a name on the hub. */
export function defaultOutput(model: string): string {
  const repository = hubName(model);
  if (repository !== undefined) return `${posix.basename(repository.name)}-matquant`;
  const path = resolve(model);
  return join(relative('', dirname(path)), `${stemOf(path)}-matquant`);
}

/** Warns where a model that others made says nothing of its licence. */
export function warnOfLicence({ licence, notices, origin, card }: ModelFolder, { log }: Context): void {
  if (licence !== undefined || notices.length > 0 || (origin === undefined && card === undefined)) return;
  log.warn(
    `The card of ${origin?.repo ?? card} names no licence [licence-missing]; find out under which licence the model may be passed on before you publish what is made of it.`,
  );
}
