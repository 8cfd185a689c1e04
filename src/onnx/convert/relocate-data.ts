/** The same graph with its external data in other files. */
import { DataFile } from '../proto/data-file.js';
import { decodeModelFile } from '../proto/decode.js';
import { encodeModel } from '../proto/encode.js';
import { externalEntries, externalRange } from '../proto/external-data.js';
import { EXTERNAL, MODEL } from '../proto/messages.js';
import { visitTensors } from '../proto/tensors.js';

/** Where the bytes of a tensor are. */
export interface DataPlace {
  readonly location: string;
  readonly offset: number;
}

/**
 * The bytes of the graph file at `path` with each range of external data at the place that `move` gives. The entries
 * `matquant.…` of its metadata are left out: they are digests of the files as they were.
 */
export function relocateData(path: string, move: (place: DataPlace) => DataPlace): Uint8Array {
  const model = decodeModelFile(new DataFile(path));
  visitTensors(model, MODEL, (tensor) => {
    if (tensor.dataLocation !== EXTERNAL) return;
    const range = externalRange(tensor, tensor.name ?? path);
    const { location, offset } = move(range);
    tensor.externalData = externalEntries(location, offset, range.length ?? 0);
  });
  model.metadataProps = (model.metadataProps ?? []).filter(({ key }) => !/^matquant\.(data|sha256)$/.test(key ?? ''));
  return encodeModel(model, path);
}
