/** Whether a model is what was written: the graph against its own digest, its data file against the digests in the graph. */

import { statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CompilerError, type ErrorCode, fail } from '../../diagnostics.js';
import { isFile } from '../../files/file-state.js';
import { digestsOf } from '../../files/range-digests.js';
import { DataFile } from '../proto/data-file.js';
import { decodeModelFile } from '../proto/decode.js';
import { externalRange, resolveLocation } from '../proto/external-data.js';
import { isSealedFile } from '../proto/graph-seal.js';
import { EXTERNAL, MODEL, type ModelProto } from '../proto/messages.js';
import { visitTensors } from '../proto/tensors.js';
import { type DataDigest, isOwnMetadata, recordedData } from './model-record.js';

/** One thing that was checked. */
export interface Finding {
  /** The file. */
  readonly at: string;
  /** What of it: `graph`, `bytes 0 to 4096`, `int4 section`. */
  readonly part: string;
  /** What is wrong with it; absent when it is sound. */
  readonly problem?: string;
  /** Of the error that this is where it cannot be passed over; default `damaged`. */
  readonly code?: ErrorCode;
}

/** Fails with `damaged` when a model that this tool wrote, or its data file, is not what was written. Other models pass. */
export function requireSound(path: string): void {
  for (const finding of examineModel(path) ?? []) refuseUnsound(finding);
}

export function refuseUnsound({ at, part, problem, code = 'damaged' }: Finding): void {
  if (problem !== undefined) fail(code, at, `The ${part} ${problem}`);
}

/** What is found of a model, the graph first; undefined for a model without digests. Stops behind a graph that is damaged. */
export function examineModel(path: string): readonly Finding[] | undefined {
  const file = new DataFile(path);
  const message = decodeModelFile(file);
  const data = recordedData(message.metadataProps);
  if (data === undefined) return undefined;
  if (data === 'damaged' || !isSealedFile(file))
    return [{ at: path, part: 'graph', problem: 'does not have the digest it was written with' }];
  return [{ at: path, part: 'graph' }, ...examineData(path, message, data)];
}

function examineData(path: string, message: ModelProto, data: readonly DataDigest[]): readonly Finding[] {
  const [location] = locationsIn(message, path);
  if (location === undefined || data.length === 0) return [];
  const file = join(dirname(path), location);
  const at = resolveLocation(path, location, file);
  const needed = data.at(-1)?.end ?? 0;
  const bytes = statSync(at).size;
  const problem = `has ${bytes} bytes, ${needed} are needed`;
  if (bytes < needed) return [{ at: file, part: 'data file', problem, code: 'precision-missing' }];
  const found = digestsOf(
    at,
    data.map(({ end }) => end),
  );
  return data.map(({ end, sha256 }, index) => {
    const part = `part of bytes ${data[index - 1]?.end ?? 0} to ${end}`;
    return found[index] === sha256
      ? { at: file, part }
      : { at: file, part, problem: `does not have the digest that ${path} was written with` };
  });
}

/** The locations of a model's external data, each once. */
function locationsIn(message: ModelProto, at: string): ReadonlySet<string> {
  const found = new Set<string>();
  visitTensors(message, MODEL, (tensor) => {
    if (tensor.dataLocation === EXTERNAL) found.add(externalRange(tensor, tensor.name ?? at).location);
  });
  return found;
}

/** What the graph file of a model shows of it. */
export interface ModelFiles {
  /** True when any version of this tool wrote it. */
  readonly isOwn: boolean;
  /** Paths of its external data files, as the graph names them. */
  readonly data: readonly string[];
}

/** Reads the graph file of a model; undefined when it is none. */
export function modelFiles(path: string): ModelFiles | undefined {
  if (!isFile(path)) return undefined;
  const file = new DataFile(path);
  try {
    const message = decodeModelFile(file);
    const data = [...locationsIn(message, path)].map((location) => join(dirname(path), location));
    return { isOwn: isOwnMetadata(message.metadataProps), data };
  } catch (error) {
    if (error instanceof CompilerError) return undefined;
    throw error;
  }
}
