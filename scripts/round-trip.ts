/**
 * Imports and exports each model given and shows that nothing was lost: both files decode to the same message, with the same
 * bytes in every tensor. Prints a table; exit code 1 when a model came back different.
 *   node dist/scripts/round-trip.js MODEL.onnx…
 */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { CompilerError } from '../src/diagnostics.js';
import { exportModel } from '../src/onnx/convert/export.js';
import { importModel } from '../src/onnx/convert/import.js';
import { TensorImporter } from '../src/onnx/convert/import-tensor.js';
import { DataFiles } from '../src/onnx/proto/data-file.js';
import { decodeModelFile } from '../src/onnx/proto/decode.js';
import {
  copyOf,
  encode,
  MODEL,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from '../src/onnx/proto/messages.js';
import { mapTensors } from '../src/onnx/proto/tensors.js';

interface Contents {
  readonly message: ModelProto;
  readonly tensors: number;
  readonly bytes: number;
}

/** The message with the digest of its bytes in the place of every tensor's data, however that is stored. */
function contentsOf(path: string): Contents {
  const files = new DataFiles();
  const importer = new TensorImporter(path, files);
  let tensors = 0;
  let bytes = 0;
  const digested = (message: TensorProto): TensorProto => {
    const tensor = importer.tensor(message, path);
    tensors++;
    bytes += tensor.byteLength;
    if (tensor.strings !== undefined) return message;
    const hash = createHash('sha256');
    for (let at = 0; at < tensor.byteLength; at += 1 << 22) {
      hash.update(tensor.bytes(at, Math.min(at + (1 << 22), tensor.byteLength)));
    }
    const data = { floatData: [], int32Data: [], int64Data: [], doubleData: [], uint64Data: [], externalData: [] };
    return copyOf(message, { ...data, payload: undefined, dataLocation: undefined, rawData: hash.digest() });
  };
  const message = mapTensors(decodeModelFile(files.file(path)), MODEL, digested);
  return { message, tensors, bytes };
}

/** Nodes that came in no topological order are written in one. */
function compare(before: ModelProto, after: ModelProto): string {
  if (Buffer.compare(encode(MODEL, before), encode(MODEL, after)) === 0) return 'yes';
  return Buffer.compare(encode(MODEL, sorted(before)), encode(MODEL, sorted(after))) === 0 ? 'yes, nodes sorted' : 'NO';
}

function sorted(model: ModelProto): ModelProto {
  const key = (node: NodeProto): string => JSON.stringify(node.output ?? []);
  const node = [...(model.graph?.node ?? [])].sort((a, b) => (key(a) < key(b) ? -1 : 1));
  return copyOf(model, { graph: copyOf(model.graph ?? {}, { node }) });
}

function seconds<T>(action: () => T): { result: T; time: string } {
  const start = performance.now();
  const result = action();
  return { result, time: `${((performance.now() - start) / 1000).toFixed(2)} s` };
}

function roundTrip(path: string, folder: string): Record<string, string | number> {
  const target = join(folder, 'model.onnx');
  const imported = seconds(() => importModel(path));
  const exported = seconds(() => exportModel(imported.result, target));
  const rss = Math.round(process.resourceUsage().maxRSS / 1024);
  const before = contentsOf(path);
  const after = contentsOf(target);
  const verdict = compare(before.message, after.message);
  if (verdict === 'NO') process.exitCode = 1;
  return {
    model: join(basename(dirname(path)), basename(path)),
    tensors: before.tensors,
    MB: Number((before.bytes / 1e6).toFixed(1)),
    import: imported.time,
    export: exported.time,
    'peak MiB': rss,
    same: verdict,
  };
}

function row(path: string, folder: string): Record<string, string | number> {
  try {
    return roundTrip(path, folder);
  } catch (error) {
    if (!(error instanceof CompilerError)) throw error;
    process.exitCode = 1;
    return { model: join(basename(dirname(path)), basename(path)), same: error.code };
  }
}

const folder = mkdtempSync(join(tmpdir(), 'round-trip-'));
try {
  console.table(process.argv.slice(2).map((path) => row(path, folder)));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
