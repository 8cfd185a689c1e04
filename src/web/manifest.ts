/** The part of NAME.json that the reader needs; docs/set-format.md describes the whole. */
import { NestedError } from './errors.js';

/** A run of bytes of the data file that has a digest of its own. */
export interface Piece {
  /** First byte, and the byte after the last. */
  readonly start: number;
  readonly end: number;
  /** Hexadecimal SHA-256 of the bytes. */
  readonly sha256: string;
}

/** The part of NAME.json that the reader uses. */
export interface Manifest {
  /** Name of the data file, beside the manifest. */
  readonly data: string;
  readonly graphs: readonly {
    readonly file: string;
    /** `int4`, or the name of a mix. */
    readonly name: string;
    readonly bits: unknown;
    /** Length of the prefix of the data file that the graph reads. */
    readonly bytesNeeded: number;
    readonly sha256?: string;
  }[];
  /** In the order of the file, without gaps: what every precision needs, then one piece per precision. */
  readonly pieces: readonly Piece[];
}

/** Reads the manifest of a set. Fails with `manifest` when the bytes are something else. */
export function readManifest(bytes: Uint8Array, at: string): Manifest {
  const set = parse(bytes) as {
    format?: unknown;
    data?: unknown;
    graphs?: unknown;
    restSha256?: unknown;
    sections?: unknown;
  } | null;
  const { format, data, graphs, restSha256, sections } = set ?? {};
  const isSet =
    format === 'matquant-set' &&
    typeof data === 'string' &&
    typeof restSha256 === 'string' &&
    Array.isArray(graphs) &&
    Array.isArray(sections);
  if (!isSet) throw new NestedError('manifest', `${at} is not the manifest of a nested set`);
  const parts = sections as readonly { start: number; end: number; sha256: string }[];
  // A section's digest also covers the padding between it and the one before.
  const pieces = parts.map(({ end, sha256 }, index): Piece => {
    const before = parts[index - 1];
    return { start: before?.end ?? parts[0]?.start ?? 0, end, sha256 };
  });
  const rest: Piece = { start: 0, end: parts[0]?.start ?? 0, sha256: restSha256 };
  return {
    data,
    graphs: graphs as Manifest['graphs'],
    pieces: [rest, ...pieces].filter(({ start, end }) => end > start),
  };
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

/** The graph of a precision in bits, or of a mix by its name. */
export function graphOf({ graphs }: Manifest, model: number | string): Manifest['graphs'][number] {
  const name = typeof model === 'number' ? `int${model}` : model;
  const found = graphs.find((graph) => graph.name === name);
  if (found !== undefined) return found;
  const names = graphs.map((graph) => graph.name).join(', ');
  throw new NestedError('precision', `The set has no model ${name}; it has ${names}`);
}
