/**
 * The header of a record. A record is a safetensors file: 8 bytes with the length of a JSON header, the header, arrays of
 * little-endian numbers. Its `__metadata__` begins with the SHA-256 of the whole file, taken with zeros in place of the digest.
 */
import { z } from 'zod';

/** What a record is and what it was made from; both are checked on reading. */
export interface RecordName {
  /** Kind of contents, such as `solved`. */
  readonly kind: string;
  /** Digest of all that it was made from. */
  readonly key: string;
}

export type RecordArray = Float32Array | Float64Array | Uint8Array;

const WIDTHS = { F32: 4, F64: 8, U8: 1 } as const;
export type RecordType = keyof typeof WIDTHS;

/** One array of a record. */
export interface RecordPart {
  readonly name: string;
  readonly dtype: RecordType;
  readonly shape: readonly number[];
}

/** A part with its bytes, counted from the end of the header. */
export interface PlacedPart extends RecordPart {
  readonly start: number;
  readonly end: number;
}

export interface RecordHeader extends RecordName {
  /** What else there is to say, as JSON. */
  readonly facts: unknown;
  readonly sha256: string;
  readonly parts: readonly PlacedPart[];
}

const PREFIX = '{"__metadata__":{"sha256":"';
const UNSIGNED = '0'.repeat(64);

/** Where the 64 digits of the digest begin in the file. */
export const DIGEST_AT: number = 8 + PREFIX.length;

const tensor = z.strictObject({
  dtype: z.enum(['F32', 'F64', 'U8']),
  shape: z.array(z.number().int().nonnegative()),
  data_offsets: z.tuple([z.number().int().nonnegative(), z.number().int().nonnegative()]),
});
const metadata = z.looseObject({ sha256: z.string().length(64), kind: z.string(), key: z.string(), facts: z.string() });
const schema = z.object({ __metadata__: metadata }).catchall(tensor);

/** Parts one after another. */
export function placeParts(parts: readonly RecordPart[]): readonly PlacedPart[] {
  let start = 0;
  return parts.map((part) => {
    const end = start + WIDTHS[part.dtype] * countOf(part.shape);
    const placed = { ...part, start, end };
    start = end;
    return placed;
  });
}

/** The first bytes of a record, with zeros for its digest. The arrays begin at a multiple of 8. */
export function headerBytes({ kind, key }: RecordName, facts: unknown, parts: readonly PlacedPart[]): Uint8Array {
  const header: Record<string, unknown> = {
    __metadata__: { sha256: UNSIGNED, kind, key, facts: JSON.stringify(facts) },
  };
  for (const { name, dtype, shape, start, end } of parts) header[name] = { dtype, shape, data_offsets: [start, end] };
  const text = Buffer.from(JSON.stringify(header));
  const padding = (8 - (text.length % 8)) % 8;
  const bytes = Buffer.alloc(8 + text.length + padding, ' ');
  bytes.writeBigUInt64LE(BigInt(text.length + padding));
  text.copy(bytes, 8);
  return bytes;
}

/** Puts zeros where the digest is, as it was taken. */
export function unsign(bytes: Uint8Array): void {
  bytes.set(Buffer.from(UNSIGNED), DIGEST_AT);
}

/** The header in the first bytes of a record; undefined when these are of no record, or `payload` bytes do not follow. */
export function parseHeader(bytes: Uint8Array, payload: number): RecordHeader | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset + 8, bytes.byteLength - 8).toString();
  if (!text.startsWith(PREFIX)) return undefined;
  try {
    const { __metadata__: about, ...tensors } = schema.parse(JSON.parse(text));
    const entries = Object.entries(tensors as Record<string, z.infer<typeof tensor>>);
    const parts = placeParts(entries.map(([name, { dtype, shape }]) => ({ name, dtype, shape })));
    const fits = parts.every(({ start, end }, at) => {
      const [from, to] = entries[at]?.[1].data_offsets ?? [];
      return start === from && end === to;
    });
    if (!fits || (parts.at(-1)?.end ?? 0) !== payload) return undefined;
    return { kind: about.kind, key: about.key, facts: JSON.parse(about.facts), sha256: about.sha256, parts };
  } catch {
    return undefined;
  }
}

/** Elements of a part. */
export const countOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);
