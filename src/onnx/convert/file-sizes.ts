/** What a model takes on disk: its graph file and the ranges of data files that the graph refers to. */
import { DataFile } from '../proto/data-file.js';
import { decodeModelFile } from '../proto/decode.js';
import { externalRange, resolveLocation } from '../proto/external-data.js';
import { EXTERNAL, MODEL } from '../proto/messages.js';
import { visitTensors } from '../proto/tensors.js';

export interface FileSizes {
  /** Graph file and referenced bytes of data files; a range that two tensors share counts once. */
  readonly fileBytes: number;
  /** Graph file and data files up to the last referenced byte: what must be downloaded when data files are cut. */
  readonly downloadBytes: number;
}

/** Measures the model at `path`; reads the graph, no weights. */
export function fileSizesOf(path: string): FileSizes {
  const file = new DataFile(path);
  const ranges = new Map<string, number>();
  const ends = new Map<string, number>();
  visitTensors(decodeModelFile(file), MODEL, (tensor) => {
    if (tensor.dataLocation !== EXTERNAL) return;
    const at = tensor.name ?? path;
    const { location, offset, length } = externalRange(tensor, at);
    const data = resolveLocation(path, location, at);
    const bytes = length ?? new DataFile(data, 'external-missing').length - offset;
    ranges.set(`${offset}:${bytes}:${data}`, bytes);
    ends.set(data, Math.max(ends.get(data) ?? 0, offset + bytes));
  });
  return { fileBytes: file.length + sum(ranges.values()), downloadBytes: file.length + sum(ends.values()) };
}

const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
