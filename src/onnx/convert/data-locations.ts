/** The data files that a graph refers to, without looking for them: what else must be downloaded. */
import { dirname, join } from 'node:path';
import { DataFiles } from '../proto/data-file.js';
import { decodeModel } from '../proto/decode.js';
import { externalRange, resolveLocation } from '../proto/external-data.js';
import { MODEL } from '../proto/messages.js';
import { visitTensors } from '../proto/tensors.js';

/** Locations of external data in the graph at `path`, as they are written in it, each once, sorted. */
export function dataLocations(path: string): readonly string[] {
  const locations = new Set<string>();
  visitTensors(decodeModel(new DataFiles().file(path), path), MODEL, (tensor) => {
    if ((tensor.externalData ?? []).length > 0) locations.add(externalRange(tensor, tensor.name ?? path).location);
  });
  return [...locations].toSorted();
}

/**
 * Paths of the data files of the graph at `path`, below its folder. Error codes `external-path` where a location leaves the folder, and
 * `external-missing` where there is no such file.
 */
export function dataPaths(path: string): readonly string[] {
  return dataLocations(path).map((location) => {
    resolveLocation(path, location, path);
    return join(dirname(path), location);
  });
}
