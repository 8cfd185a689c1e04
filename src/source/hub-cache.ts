/**
 * The cache of the hub's own tools on disk: `models--ORG--NAME/blobs` holds files by digest, `snapshots/COMMIT` links to them under
 * their names, `refs/REVISION` holds the commit of a branch or tag. Files that huggingface_hub downloaded are found here, and the
 * other way round.
 */
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { HubEnvironment } from './environment.js';
import type { Repository } from './hub-requests.js';

export const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

/** Folder of a repository in the cache. */
export const storageOf = ({ cache }: HubEnvironment, { type, name }: Repository): string =>
  join(cache, [`${type}s`, ...name.split('/')].join('--'));

export const snapshotOf = (storage: string, commit: string): string => join(storage, 'snapshots', commit);
export const blobOf = (storage: string, digest: string): string => join(storage, 'blobs', digest);

/** The commit that a revision had when it was last looked up, or undefined. */
export function cachedCommit(storage: string, revision: string): string | undefined {
  if (isCommit(revision)) return existsSync(snapshotOf(storage, revision)) ? revision : undefined;
  const path = join(storage, 'refs', revision);
  if (!existsSync(path)) return undefined;
  const commit = readFileSync(path, 'utf8').trim();
  return isCommit(commit) && existsSync(snapshotOf(storage, commit)) ? commit : undefined;
}

/** Notes the commit of a branch or tag. */
export function noteCommit(storage: string, revision: string, commit: string): void {
  if (revision === commit) return;
  const path = join(storage, 'refs', revision);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, commit);
}

/** Puts a complete blob under its name into a snapshot: by a relative link, else (some Windows) a hard link or a copy. */
export function linkBlob(blob: string, path: string): void {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  rmSync(path, { force: true });
  for (const place of [() => symlinkSync(relative(dirname(path), blob), path), () => linkSync(blob, path)]) {
    try {
      place();
      return;
    } catch {
      // The file system has no such links.
    }
  }
  copyFileSync(blob, path);
}
