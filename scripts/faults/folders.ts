/** Files of folders as digests, and the ways to damage one. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** Digest of every file below a folder, by its path there; nothing when the folder is not there. */
export function digests(folder: string): Readonly<Record<string, string>> {
  if (!existsSync(folder)) return {};
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath, entry.name)).sort();
  return Object.fromEntries(paths.map((path) => [relative(folder, path), digest(readFileSync(path))]));
}

const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export const isSame = (a: object, b: object): boolean => JSON.stringify(a) === JSON.stringify(b);

/** Names of folders and files that only a run under way may have. */
export function temporaries(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return names.filter((name) => /(\.tmp|\.part)(\/|$)/.test(name));
}

/** What is left of a folder of temporary files, without the logs that ONNX Runtime itself writes there. */
export function leftIn(folder: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => !/^(\.ses|mat-debug-\d+\.log)$/.test(name));
}

/** Path of the data file of the set whose manifest is given. */
export function dataOf(manifest: string): string {
  const { data } = JSON.parse(readFileSync(manifest, 'utf8')) as { data: string };
  return join(manifest, '..', data);
}

/** A way to damage bytes. `at` is a share of the length. */
export type Damage = (bytes: Uint8Array, at: number) => Uint8Array;

export const DAMAGES: Readonly<Record<'flip' | 'cut' | 'empty' | 'zeros' | 'garbage', Damage>> = {
  flip: (bytes, at) => {
    const copy = Uint8Array.from(bytes);
    const place = Math.floor(at * copy.length);
    copy[place] = (copy[place] as number) ^ (1 << (Math.floor(at * 997) % 8));
    return copy;
  },
  cut: (bytes, at) => bytes.slice(0, Math.floor(at * bytes.length)),
  empty: () => new Uint8Array(),
  zeros: (bytes, at) =>
    Uint8Array.from(bytes).fill(0, Math.floor(at * bytes.length), Math.floor(at * bytes.length) + 4096),
  garbage: (bytes) => bytes.map((_, index) => Math.imul(index + 1, 0x9e3779b1) >>> 24),
};

/** Damages a file in place. */
export function damage(path: string, how: Damage, at: number): void {
  writeFileSync(path, how(new Uint8Array(readFileSync(path)), at));
}
