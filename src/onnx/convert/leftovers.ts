/** What the IR does not model of a message, and how it is put together again. */
import { copyOf, type StringStringEntryProto } from '../proto/messages.js';

type Fields = Record<string, unknown>;

const isEmpty = (value: unknown): boolean =>
  value === undefined || value === null || value === '' || (Array.isArray(value) && value.length === 0);

/**
 * The fields of `message` that are not in `modelled`, with its unknown fields. A modelled string that is present but empty is
 * left over as well: the IR cannot tell it from an absent one.
 */
export function leftovers<M extends object>(message: M, modelled: readonly (keyof M & string)[]): M {
  const dropped: Fields = {};
  for (const key of Object.keys(message)) {
    const value = (message as Fields)[key];
    const isPresentEmpty = value === '';
    if ((modelled.includes(key as keyof M & string) && !isPresentEmpty) || (isEmpty(value) && !isPresentEmpty)) {
      dropped[key] = undefined;
    }
  }
  return copyOf(message as Fields, dropped) as M;
}

/** `rest` with the modelled fields that have something in them. */
export function restored<M extends object>(rest: M, modelled: { [K in keyof M]?: M[K] | undefined }): M {
  const given = Object.entries(modelled).filter(([, value]) => !isEmpty(value));
  return copyOf(rest, Object.fromEntries(given) as typeof modelled);
}

/** Metadata as a map. */
export function metadataMap(entries: readonly StringStringEntryProto[] | undefined): ReadonlyMap<string, string> {
  return new Map((entries ?? []).map((entry) => [entry.key ?? '', entry.value ?? '']));
}

/** True when a map says all that the entries say: no repeated keys, nothing absent, nothing unknown. */
export function isPlainMetadata(entries: readonly StringStringEntryProto[] | undefined): boolean {
  if (entries === undefined) return true;
  const keys = new Set(entries.map((entry) => entry.key));
  return keys.size === entries.length && entries.every(isPlainEntry);
}

function isPlainEntry(entry: StringStringEntryProto): boolean {
  return Object.hasOwn(entry, 'key') && Object.hasOwn(entry, 'value') && entry.$unknowns === undefined;
}

/** The entries to write: those that came when they still say the same, else the map. */
export function metadataEntries(
  metadata: ReadonlyMap<string, string>,
  original: StringStringEntryProto[] | undefined,
): StringStringEntryProto[] | undefined {
  if (original !== undefined && sameMap(metadataMap(original), metadata)) return original;
  return [...metadata].map(([key, value]) => ({ key, value }));
}

export function sameMap(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a === b || (a.size === b.size && [...a].every(([key, value]) => b.get(key) === value));
}
