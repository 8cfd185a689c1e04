/** Data files in chunks, for loaders that hold each file in one buffer. */
import { closeSync, openSync, truncateSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fail } from '../diagnostics.js';
import { readFully, writeFully } from '../files/transfer.js';
import { exportModel } from '../onnx/convert/export.js';
import { importModel } from '../onnx/convert/import.js';
import type { Model } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import { originOf } from '../set/index.js';

/** Below 2 GB: an ArrayBuffer of a browser holds no more. */
export const CHUNK_BYTES = 2_000_000_000;
const STEP = 1 << 24;

/** What the model says of itself, without digests of a data file that is no more. */
const ownMetadata = (model: Model): Readonly<Record<string, string>> =>
  Object.fromEntries([...model.metadata].filter(([key]) => /^matquant\.(tool|precision|mix)$/.test(key)));

interface Chunk {
  readonly start: number;
  readonly end: number;
}

/** The name of a chunk of the data of `graph`, as transformers.js counts them. */
export const chunkName = (graph: string, index: number): string => `${graph}_data${index === 0 ? '' : `_${index}`}`;

/**
 * Cuts the data file `GRAPH_data` of a self-contained model into `GRAPH_data`, `GRAPH_data_1` and so on, none above `limit` bytes, and
 * renews the graph. Returns how many there are; 0 without data. Fails with `unsupported-target` where one tensor is larger.
 */
export function splitData(graph: string, bytes: number, limit: number = CHUNK_BYTES): number {
  if (bytes === 0) return 0;
  if (bytes <= limit) return 1;
  const model = importModel(graph);
  const name = basename(graph);
  const tensors = [...model.graph.initializers].flatMap(({ initializer }) => initializer ?? []);
  const data = chunkName(name, 0);
  const placed = tensors.filter((tensor) => originOf(tensor)?.location === data);
  const chunks = chunksOf(placed, limit, graph);
  chunks.forEach((chunk, index) => {
    if (index > 0) copyRange(join(dirname(graph), data), join(dirname(graph), chunkName(name, index)), chunk);
  });
  exportModel(model, graph, {
    inline: true,
    record: { metadata: ownMetadata(model), data: [] },
    placements: (tensor) => {
      const origin = originOf(tensor);
      if (origin?.location !== data) return undefined;
      const at = chunks.findIndex(({ end }) => origin.offset < end);
      const { start } = chunks[at] as Chunk;
      return { location: chunkName(name, at), offset: origin.offset - start, length: origin.length };
    },
  });
  truncateSync(join(dirname(graph), data), (chunks[0] as Chunk).end);
  return chunks.length;
}

function chunksOf(tensors: readonly Tensor[], limit: number, at: string): readonly Chunk[] {
  const ranges = tensors
    .map((tensor) => originOf(tensor) as { readonly offset: number; readonly length: number })
    .toSorted((a, b) => a.offset - b.offset);
  const chunks: { start: number; end: number }[] = [{ start: 0, end: 0 }];
  for (const { offset, length } of ranges) {
    if (length > limit) {
      fail('unsupported-target', at, `A weight of ${length} bytes does not fit a file of ${limit} bytes`);
    }
    const last = chunks.at(-1) as { start: number; end: number };
    if (offset + length - last.start <= limit || offset < last.end) last.end = Math.max(last.end, offset + length);
    else chunks.push({ start: offset, end: offset + length });
  }
  return chunks;
}

function copyRange(from: string, to: string, { start, end }: Chunk): void {
  const [source, target] = [openSync(from, 'r'), openSync(to, 'w')];
  try {
    const piece = new Uint8Array(Math.min(STEP, end - start));
    for (let at = start; at < end; at += piece.length) {
      const part = piece.subarray(0, Math.min(piece.length, end - at));
      readFully(source, part, at);
      writeFully(target, part, at - start);
    }
  } finally {
    closeSync(source);
    closeSync(target);
  }
}
