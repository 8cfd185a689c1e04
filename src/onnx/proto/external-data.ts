/** External data of tensors (onnx.proto, `TensorProto.external_data`): where it says the bytes are, and whether to believe it. */
import { realpathSync } from 'node:fs';
import { dirname, isAbsolute, join, sep, win32 } from 'node:path';
import { fail } from '../../diagnostics.js';
import type { StringStringEntryProto, TensorProto } from './messages.js';

/** A range of a data file; an absent length means "as much as the shape takes". */
export interface ExternalRange {
  readonly location: string;
  readonly offset: number;
  readonly length: number | undefined;
  /** SHA-1 of the whole data file in hex, which few files have and ONNX Runtime does not check. */
  readonly checksum: string | undefined;
}

/** Reads the entries of a tensor; `at` names the tensor. Unknown keys are left alone. */
export function externalRange(tensor: TensorProto, at: string): ExternalRange {
  const entries = new Map((tensor.externalData ?? []).map((entry) => [entry.key ?? '', entry.value ?? '']));
  const location = entries.get('location');
  if (location === undefined || location === '')
    fail('external-path', at, 'the tensor has external data without a location');
  const offset = entries.get('offset');
  const length = entries.get('length');
  const range = {
    location,
    offset: offset === undefined ? 0 : numberOf(offset, 'offset', at),
    length: length === undefined ? undefined : numberOf(length, 'length', at),
    checksum: entries.get('checksum'),
  };
  if (!Number.isSafeInteger(range.offset + (range.length ?? 0))) {
    fail('external-range', at, `offset ${range.offset} and length ${range.length} pass 2^53`);
  }
  return range;
}

function numberOf(text: string, key: string, at: string): number {
  if (!/^\d{1,40}$/.test(text))
    fail('external-range', at, `${key} ${JSON.stringify(text.slice(0, 40))} is not a decimal number`);
  const value = BigInt(text);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) fail('external-range', at, `${key} ${text} is larger than any file`);
  return Number(value);
}

/** The entries that say where bytes are: no other keys, since ONNX Runtime refuses a model that has any. */
export function externalEntries(location: string, offset: number, length: number): StringStringEntryProto[] {
  return [
    { key: 'location', value: location },
    { key: 'offset', value: String(offset) },
    { key: 'length', value: String(length) },
  ];
}

/**
 * The real path of a data file of the model at `modelPath`. It must lie below the folder of the model, or, where the model is
 * a link, below the folder of the file that the link leads to: the cache of the Hugging Face hub keeps a model and its data as
 * links into one folder. ONNX Runtime accepts the same since 1.24.2. The location itself is looked up beside the link.
 */
export function resolveLocation(modelPath: string, location: string, at: string): string {
  const parts = location.split(/[/\\]/);
  const absolute = isAbsolute(location) || win32.isAbsolute(location) || /^[a-zA-Z]:/.test(location);
  if (absolute || parts.includes('..') || location.includes('\0')) {
    fail('external-path', at, `location ${JSON.stringify(location)} leaves the folder of the model`);
  }
  const folder = realpathSync(dirname(modelPath));
  const path = realPathOf(join(folder, location), at);
  if (isBelow(path, folder) || isBelow(path, linkedFolderOf(modelPath) ?? folder)) return path;
  return fail('external-path', at, `location ${JSON.stringify(location)} is a link out of the folder of the model`);
}

/** The folder of the file that a model path leads to; undefined when there is no file. */
function linkedFolderOf(modelPath: string): string | undefined {
  try {
    return dirname(realpathSync(modelPath));
  } catch {
    return undefined;
  }
}

function isBelow(path: string, folder: string): boolean {
  return path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function realPathOf(path: string, at: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    return fail(
      'external-missing',
      at,
      `data file ${path} cannot be opened (${(error as NodeJS.ErrnoException).code})`,
    );
  }
}

/** A tensor's range in a file, for the check below. */
export interface TakenRange {
  readonly at: string;
  readonly path: string;
  readonly offset: number;
  readonly length: number;
}

/** Refuses ranges of one file that share some bytes; equal ranges are tensors that share their data. */
export function refuseOverlaps(ranges: readonly TakenRange[]): void {
  const order = ranges.filter((range) => range.length > 0);
  order.sort((a, b) => compare(a.path, b.path) || a.offset - b.offset || a.length - b.length);
  order.forEach((range, index) => {
    const before = order[index - 1];
    if (before === undefined || before.path !== range.path) return;
    if (before.offset === range.offset && before.length === range.length) return;
    if (before.offset + before.length > range.offset) {
      fail('external-overlap', range.at, `its bytes overlap those of ${before.at} in ${range.path}`);
    }
  });
}

const compare = (a: string, b: string): number => (a < b ? -1 : Number(a > b));
