/** Damage to files, for tests of what reads them. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Files below a folder whose paths match, in order. */
export const filesBelow = (folder: string, pattern: RegExp): readonly string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => pattern.test(path))
    .sort();

/** Ways to damage a file. */
export const DAMAGES: Readonly<Record<string, (bytes: Buffer) => Buffer>> = {
  'a bit in the middle': (bytes) => flipped(bytes, 0.5),
  'a bit near the beginning': (bytes) => flipped(bytes, 0.05),
  'the last bit': (bytes) => flipped(bytes, 1),
  'the end cut off': (bytes) => bytes.subarray(0, -1),
  nothing: () => Buffer.alloc(0),
  garbage: (bytes) => Buffer.from(bytes.map((_, at) => (at * 7919) % 256)),
};

function flipped(bytes: Buffer, share: number): Buffer {
  const at = Math.floor(share * (bytes.length - 1));
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] as number) ^ 16;
  return copy;
}

export const damage = (path: string, how: string): void =>
  writeFileSync(path, DAMAGES[how]?.(readFileSync(path)) ?? Buffer.alloc(0));
