/** What the manifests of a folder list, of any version and whether or not they are sound: files that belong to a set. */
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readFully } from './transfer.js';

export interface Listed {
  /** Path of the manifest. */
  readonly manifest: string;
  /** File names, in the folder of the manifest. */
  readonly data: string | undefined;
  readonly graphs: readonly string[];
}

/** The manifests of a folder with what they list. */
export function listedIn(folder: string): readonly Listed[] {
  const names = namesIn(folder).filter((name) => name.endsWith('.json'));
  return names.flatMap((name) => listedBy(join(folder, name)) ?? []);
}

/** What a manifest lists; undefined for another file. */
export function listedBy(manifest: string): Listed | undefined {
  if (!startsAsManifest(manifest)) return undefined;
  try {
    const { data, graphs } = JSON.parse(readFileSync(manifest, 'utf8')) as Readonly<Record<string, unknown>>;
    const files = Array.isArray(graphs) ? graphs.map((graph) => (graph as { file?: unknown } | null)?.file) : [];
    return { manifest, data: [data].find(isName), graphs: files.filter(isName) };
  } catch {
    return undefined;
  }
}

/** The names in a folder; none when it cannot be read. */
export function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

const isName = (value: unknown): value is string => typeof value === 'string' && value === basename(value);

/** A manifest names its format in its first line or two. */
export const startsAsManifest = (path: string): boolean => /"format"\s*:\s*"matquant-set"/.test(beginningOf(path, 256));

/** The first characters of a file; empty when it cannot be read. */
export function beginningOf(path: string, bytes: number): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const buffer = Buffer.alloc(bytes);
    return buffer.toString('utf8', 0, readFully(descriptor, buffer, 0));
  } catch {
    return '';
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}
