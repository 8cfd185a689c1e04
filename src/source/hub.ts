/** Models and files on the Hugging Face hub: looked up by its client, downloaded into its cache, only what is needed. */
import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { join, posix } from 'node:path';
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { dataLocations } from '../onnx/convert/data-locations.js';
import { download, type RemoteFile } from './download.js';
import type { HubEnvironment } from './environment.js';
import { chooseGraph, companionsOf, listFolder, modelFolder, partsOf } from './folder.js';
import { blobOf, cachedCommit, isCommit, linkBlob, noteCommit, snapshotOf, storageOf } from './hub-cache.js';
import { fileUrl, hubFetch, type Repository } from './hub-requests.js';
import type { ModelFolder } from './model-folder.js';

/** A file of a repository, as the hub lists it. */
interface Entry {
  readonly path: string;
  readonly bytes: number;
  readonly digest: RemoteFile['digest'];
}

/** The files of a repository at one commit, and where those that are wanted are put. */
interface Snapshot {
  readonly commit: string;
  /** Folder that the paths are below. */
  readonly folder: string;
  readonly paths: readonly string[];
  /** Makes sure that files are there; total progress in bytes. */
  get(paths: readonly string[]): Promise<void>;
}

const NAME = /^[A-Za-z0-9][\w.-]{0,95}(\/[A-Za-z0-9][\w.-]{0,95})?$/;
const REVISION = /^(?!.*(?:^|\/)\.\.?(?:\/|$))[\w.+-]+(?:\/[\w.+-]+)*$/;

/** Whether the name of a model stands for a repository of the hub. */
export const isHubName = (model: string): boolean => model.startsWith('hf:');

/** `hf:ORG/NAME` or `hf:ORG/NAME@REVISION` as a repository; undefined for what does not begin with `hf:`. Fails with `hub-name`. */
export function hubName(model: string): Repository | undefined {
  if (!isHubName(model)) return undefined;
  const [, name = '', revision = 'main'] = /^hf:([^@]*)(?:@(.*))?$/.exec(model) ?? [];
  if (!NAME.test(name) || !REVISION.test(revision))
    fail('hub-name', model, 'The name on the hub does not have the form hf:ORG/NAME or hf:ORG/NAME@REVISION');
  return { type: 'model', name, revision };
}

/** Downloads what a model needs: the float graph with its data, tokenizer, configurations, card and licence. */
export async function openHubModel(
  repository: Repository,
  file: string | undefined,
  hub: HubEnvironment,
  context: Context,
): Promise<ModelFolder> {
  const snapshot = await openSnapshot(repository, hub, context);
  const { folder, paths, commit } = snapshot;
  const graph = chooseGraph(paths, file, `hf:${repository.name}`);
  const graphs = [graph, ...partsOf(paths, graph)];
  await snapshot.get([...graphs, ...companionsOf(paths, graph)]);
  const data = graphs.flatMap((each) =>
    dataLocations(join(folder, each)).map((location) => posix.join(posix.dirname(each), location)),
  );
  // A data file that the repository does not have is reported when the graph is read.
  await snapshot.get(data.filter((path) => paths.includes(path)));
  const name = posix.basename(repository.name);
  return modelFolder(folder, graph, paths, { name, origin: { repo: repository.name, revision: commit } });
}

/** Downloads one file of a repository. Returns its path in the cache. */
export async function openHubFile(
  repository: Repository,
  path: string,
  hub: HubEnvironment,
  context: Context,
): Promise<string> {
  const snapshot = await openSnapshot(repository, hub, context);
  await snapshot.get([path]);
  return join(snapshot.folder, path);
}

async function openSnapshot(repository: Repository, hub: HubEnvironment, context: Context): Promise<Snapshot> {
  const storage = storageOf(hub, repository);
  if (hub.offline) return offlineSnapshot(repository, storage);
  const fetch = hubFetch(hub, repository, context.signal);
  const { datasetInfo, listFiles, modelInfo } = await import('@huggingface/hub');
  const { name, type, revision } = repository;
  const asked = { name, revision, hubUrl: hub.endpoint, fetch };
  const { sha: commit } = await (type === 'model'
    ? modelInfo({ ...asked, additionalFields: ['sha'] })
    : datasetInfo({ ...asked, additionalFields: ['sha'] }));
  if (!isCommit(commit)) fail('hub-network', name, 'The hub does not say which commit the revision is');
  const entries: Entry[] = [];
  const listing = { repo: { type, name }, revision: commit, recursive: true, hubUrl: hub.endpoint, fetch };
  for await (const { type: kind, path, size, oid = '', lfs } of listFiles(listing)) {
    if (kind !== 'file' || !isInside(path)) continue;
    const digest =
      lfs === undefined ? ({ kind: 'git', hex: oid } as const) : ({ kind: 'sha256', hex: lfs.oid } as const);
    if (/^[0-9a-f]{40,64}$/.test(digest.hex)) entries.push({ path, bytes: lfs?.size ?? size, digest });
  }
  noteCommit(storage, revision, commit);
  return {
    commit,
    folder: snapshotOf(storage, commit),
    paths: entries.map(({ path }) => path).toSorted(),
    get: (paths) => {
      const wanted = paths.map((path) => entries.find((entry) => entry.path === path) ?? missing(repository, path));
      return downloadEntries(wanted, { repository, commit, storage, hub, fetch, context });
    },
  };
}

/** Paths come from the network and are joined to a folder here. */
const isInside = (path: string): boolean =>
  !path.includes('\\') && path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');

function missing({ name }: Repository, path: string): never {
  return fail('hub-not-found', name, `The repository has no file ${path}`);
}

function offlineSnapshot(repository: Repository, storage: string): Snapshot {
  const { name, revision } = repository;
  const commit = cachedCommit(storage, revision);
  if (commit === undefined)
    return fail('hub-offline', name, `HF_HUB_OFFLINE is set, and ${storage} has no download of revision ${revision}`);
  const folder = snapshotOf(storage, commit);
  const get = async (paths: readonly string[]): Promise<void> => {
    const absent = paths.find((path) => !existsSync(join(folder, path)));
    if (absent !== undefined) fail('hub-offline', name, `HF_HUB_OFFLINE is set, and ${absent} was not downloaded`);
  };
  return { commit, folder, paths: listFolder(folder), get };
}

interface Downloads {
  readonly repository: Repository;
  readonly commit: string;
  readonly storage: string;
  readonly hub: HubEnvironment;
  readonly fetch: typeof fetch;
  readonly context: Context;
}

/** Downloads entries one after another, and links them into the snapshot. */
async function downloadEntries(entries: readonly Entry[], downloads: Downloads): Promise<void> {
  const { repository, commit, storage, hub, fetch, context } = downloads;
  const open = entries.filter(({ path }) => !existsSync(join(snapshotOf(storage, commit), path)));
  const absent = open.filter(({ digest }) => !existsSync(blobOf(storage, digest.hex)));
  const total = absent.reduce((sum, { bytes }) => sum + bytes, 0);
  requireRoom(storage, total, repository.name);
  let before = 0;
  for (const { path, bytes, digest } of open) {
    const blob = blobOf(storage, digest.hex);
    const isNew = absent.some((entry) => entry.path === path);
    const onBytes = (count: number): void => {
      if (isNew) context.progress.update(bytesUpdate(path, before + count, total));
    };
    const url = fileUrl(hub, repository, commit, path);
    await download({ url, at: `${repository.name}: ${path}`, bytes, digest }, blob, {
      fetch,
      signal: context.signal,
      onBytes,
    });
    if (isNew) before += bytes;
    linkBlob(blob, join(snapshotOf(storage, commit), path));
  }
}

const MEGABYTE = 1e6;

const bytesUpdate = (path: string, done: number, total: number) => ({
  stage: 'download',
  done,
  total,
  detail: `${(done / MEGABYTE).toFixed(1)} of ${(total / MEGABYTE).toFixed(1)} MB, ${path}`,
});

/** Says before hours of downloading that there is no room; a part that was downloaded before counts as missing. */
function requireRoom(storage: string, bytes: number, at: string): void {
  if (bytes === 0) return;
  mkdirSync(storage, { recursive: true });
  const { bavail, bsize } = statfsSync(storage);
  if (bavail * bsize < bytes)
    fail('disk-full', storage, `The files of ${at} take ${bytes} bytes, and ${bavail * bsize} are free`);
}
