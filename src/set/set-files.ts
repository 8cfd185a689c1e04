/** Cutting and growing the data file of a set, byte range by byte range. */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, ftruncateSync, openSync, statSync } from 'node:fs';
import { fail } from '../diagnostics.js';
import { digestsOf } from '../files/range-digests.js';
import { staged } from '../files/staging.js';
import { readExactly, writeFully } from '../files/transfer.js';
import { digestsFor, requireData } from './set-digests.js';
import type { OpenSet } from './set-manifest.js';
import type { DigestedSection } from './set-writer.js';

const STEP = 8 << 20;

/**
 * Writes the first `length` bytes of the set's data file as a new file; it is a whole smaller model. A file of that name which holds
 * as much of the same set stays as it is: it may be longer because other graphs read it.
 */
export function cutData(set: OpenSet, length: number, target: string): void {
  requireData(set, length);
  if (holds(set, length, target)) return;
  staged(target, (temporary) => {
    const source = openSync(set.dataPath, 'r');
    const copy = openSync(temporary, 'wx');
    try {
      copyRange(source, copy, { from: 0, to: length, at: 0 }, set.dataPath);
    } finally {
      closeSync(source);
      closeSync(copy);
    }
  });
}

function holds({ manifest }: OpenSet, length: number, path: string): boolean {
  const bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (bytes < length || bytes > manifest.layout.byteLength) return false;
  // All that is there, not just what is needed: sections behind it belong to other graphs.
  const parts = digestsFor(manifest, bytes).filter(({ end }) => end <= bytes);
  const found = digestsOf(
    path,
    parts.map(({ end }) => end),
  );
  return parts.every(({ sha256 }, at) => found[at] === sha256);
}

/** Where the bytes of the next precisions come from: a longer data file of the set, or just the bytes that are missing. */
export interface Supply {
  readonly path: string;
  /** Offset of the file's first byte in the whole data file. */
  readonly start: number;
}

/**
 * Appends the missing sections up to `length`. Every section is checked against its digest before it is written, what is
 * there already is checked first, and after an error the file is as long as it was: at each moment it is a whole model.
 */
export function appendData(set: OpenSet, length: number, supply: Supply): number {
  const target = openSync(set.dataPath, 'r+');
  const source = openSupply(supply);
  const before = fstatSync(target).size;
  const { sections } = set.manifest;
  const whole = sections.findLast((section) => section.end <= before);
  const kept = whole?.end ?? 0;
  try {
    checkKept(set, before);
    for (const section of sections) {
      if (section.end > kept && section.end <= length) appendSection(source, target, sections, section, supply);
    }
    fsyncSync(target);
    return fstatSync(target).size - before;
  } catch (error) {
    ftruncateSync(target, before);
    throw error;
  } finally {
    closeSync(source);
    closeSync(target);
  }
}

function openSupply(supply: Supply): number {
  try {
    return openSync(supply.path, 'r');
  } catch {
    return fail('file-missing', supply.path, 'The file cannot be opened');
  }
}

/** The sections that the file holds already must be those of the manifest. */
function checkKept(set: OpenSet, bytes: number): void {
  const { sections } = set.manifest;
  const restEnd = sections[0]?.start ?? 0;
  if (bytes < restEnd)
    fail(
      'damaged',
      set.dataPath,
      `The data file has ${bytes} bytes, fewer than the ${restEnd} that every precision needs`,
    );
  requireData(set, sections.findLast(({ end }) => end <= bytes)?.end ?? restEnd);
}

function appendSection(
  source: number,
  target: number,
  sections: readonly DigestedSection[],
  section: DigestedSection,
  supply: Supply,
): void {
  const from = sections[sections.indexOf(section) - 1]?.end ?? sections[0]?.start ?? 0;
  const hash = createHash('sha256');
  for (let at = from; at < section.end; at += STEP) {
    const end = Math.min(at + STEP, section.end);
    if (at < supply.start) fail('precision-missing', supply.path, `The file starts after byte ${at} of the data file`);
    hash.update(readExactly(source, at - supply.start, end - supply.start, supply.path));
  }
  if (hash.digest('hex') !== section.sha256) {
    fail('not-a-set', supply.path, `The int${section.bits} section of the file does not belong to this set`);
  }
  ftruncateSync(target, from);
  copyRange(source, target, { from: from - supply.start, to: section.end - supply.start, at: from }, supply.path);
}

/** Copies bytes [from, to) to offset `at` of another file. */
function copyRange(
  source: number,
  target: number,
  range: { from: number; to: number; at: number },
  path: string,
): void {
  for (let at = range.from; at < range.to; at += STEP) {
    const bytes = readExactly(source, at, Math.min(at + STEP, range.to), path);
    writeFully(target, bytes, range.at + at - range.from);
  }
}
