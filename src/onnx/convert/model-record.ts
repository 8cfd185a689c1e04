/** What a model that this tool wrote says of itself in its metadata, and how far its data file is to be trusted. */
import { z } from 'zod';
import { BLANK_SEAL, SEAL } from '../proto/graph-seal.js';
import type { StringStringEntryProto } from '../proto/messages.js';

/** The SHA-256 of the bytes of a data file from the end of the range before (or 0) to `end`. */
export interface DataDigest {
  readonly end: number;
  readonly sha256: string;
}

/** What a model is written with. */
export interface ModelRecord {
  /** Entries with keys that begin with `matquant.`; they replace all such entries of the model. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Digests of the ranges of the data file that the model reads; `own` for a data file that is written along with it. */
  readonly data: readonly DataDigest[] | 'own';
}

/** The key of the digests of the data file: a JSON list of pairs of end and SHA-256. */
const DATA = 'matquant.data';
const PREFIX = 'matquant.';

const list = z.array(z.tuple([z.number().int().nonnegative(), z.string().regex(/^[0-9a-f]{64}$/)]));

/** The model's entries with those of a record, the digest of the graph still blank. */
export function recordedMetadata(
  entries: readonly StringStringEntryProto[],
  metadata: ModelRecord['metadata'],
  data: readonly DataDigest[],
): StringStringEntryProto[] {
  const own = {
    ...metadata,
    [DATA]: JSON.stringify(data.map(({ end, sha256 }) => [end, sha256])),
    [SEAL]: BLANK_SEAL,
  };
  return [
    ...entries.filter(({ key }) => !key?.startsWith(PREFIX)),
    ...Object.entries(own).map(([key, value]) => ({ key, value })),
  ];
}

/** True for a model that any version of this tool wrote. */
export const isOwnMetadata = (entries: readonly StringStringEntryProto[] | undefined): boolean =>
  entries?.some(({ key }) => key?.startsWith(PREFIX)) ?? false;

/** The digests of a model's data file: undefined for a model without a record, `damaged` for one whose record cannot be read. */
export function recordedData(
  entries: readonly StringStringEntryProto[] | undefined,
): readonly DataDigest[] | undefined | 'damaged' {
  const entry = (wanted: string): string | undefined => entries?.find(({ key }) => key === wanted)?.value;
  const data = entry(DATA);
  // Two entries, so that damage to the key of one does not hide the record.
  if (data === undefined) return entry(SEAL) === undefined ? undefined : 'damaged';
  try {
    return list.parse(JSON.parse(data)).map(([end, sha256]) => ({ end, sha256 }));
  } catch {
    return 'damaged';
  }
}
