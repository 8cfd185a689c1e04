/** The IR to ONNX files: a graph file and, beside it, a data file for what is large. */
import { basename, dirname, join } from 'node:path';
import { fail } from '../../diagnostics.js';
import { lengthOf, type Payload } from '../../files/payload.js';
import { stagedFiles } from '../../files/staging.js';
import type { Model } from '../ir/graph.js';
import { encodeModel, encodeModelPieces } from '../proto/encode.js';
import { writePieces } from '../proto/external-writer.js';
import { sealPieces } from '../proto/graph-seal.js';
import { copyOf, long, type ModelProto, type OperatorSetIdProto } from '../proto/messages.js';
import { exportGraph } from './export-graph.js';
import { type Placements, TensorExporter } from './export-tensor.js';
import type { ModelExtras } from './import.js';
import { metadataEntries, restored } from './leftovers.js';
import { type DataDigest, type ModelRecord, recordedMetadata } from './model-record.js';
import { opsetDomain } from './opset-domain.js';

export type { Placement, Placements } from './export-tensor.js';

export interface ExportOptions {
  /** Bare name of the data file; default the name of the graph file with `.data` after it. */
  readonly dataFile?: string;
  /** Smallest tensor in bytes that goes to the data file; default 1024. */
  readonly externalThreshold?: number;
  /** Keep everything in the message, which must stay below 2 GiB. */
  readonly inline?: boolean;
  /** Tensors whose bytes someone else has written or will write. Only the others go to the data file. */
  readonly placements?: Placements;
  /** What the model says of itself, with digests of its data file and of the graph. */
  readonly record?: ModelRecord;
}

/** What was written. */
export interface Exported {
  readonly path: string;
  readonly bytes: number;
  /** Undefined when no tensor was large enough. */
  readonly data: { readonly path: string; readonly bytes: number } | undefined;
}

const DEFAULT_THRESHOLD = 1024;

/**
 * Writes a model. Both files are staged and renamed together, the data first; exporting over the files that the model was
 * imported from is allowed. Tensors that share their storage are written once.
 */
export function exportModel(model: Model, path: string, options: ExportOptions = {}): Exported {
  const name = options.dataFile ?? `${basename(path)}.data`;
  refuseName(name, path);
  const dataPath = join(dirname(path), name);
  return stagedFiles([dataPath, path], ([dataTemporary, graphTemporary]) => {
    const tensors = new TensorExporter({
      threshold: options.externalThreshold ?? DEFAULT_THRESHOLD,
      ...(options.inline ? {} : { dataFile: { name, path: dataTemporary as string } }),
      ...(options.placements ? { placements: options.placements } : {}),
      digested: options.record?.data === 'own',
    });
    const { message, written } = complete(model, tensors);
    const { record } = options;
    const pieces = record === undefined ? encodeModelPieces(message, path) : recorded(message, record, written, path);
    writePieces(graphTemporary as string, pieces);
    const dataBytes = written?.end;
    const data = dataBytes === undefined ? undefined : { path: dataPath, bytes: dataBytes };
    return { path, bytes: lengthOf(pieces), data };
  });
}

/** The encoded model in memory, everything inside it but the tensors that have a placement. */
export function modelBytes(model: Model, placements?: Placements): Uint8Array {
  const tensors = new TensorExporter({ threshold: 0, ...(placements ? { placements } : {}) });
  return encodeModel(messageOf(model, tensors));
}

/** The message of a model, everything inside it. Large tensors are payloads, not bytes. */
export function exportMessage(model: Model): ModelProto {
  return messageOf(model, new TensorExporter({ threshold: 0 }));
}

/** The encoded model with its record in it. */
function recorded(
  message: ModelProto,
  { metadata, data }: ModelRecord,
  written: DataDigest | undefined,
  at: string,
): readonly Payload[] {
  const digests = data === 'own' ? [written].filter((each) => each !== undefined) : data;
  const metadataProps = recordedMetadata(message.metadataProps ?? [], metadata, digests);
  return sealPieces(encodeModelPieces(copyOf(message, { metadataProps }), at));
}

function complete(model: Model, tensors: TensorExporter): { message: ModelProto; written: DataDigest | undefined } {
  try {
    const message = messageOf(model, tensors);
    return { message, written: tensors.finish() };
  } finally {
    tensors.abandon();
  }
}

function messageOf(model: Model, tensors: TensorExporter): ModelProto {
  const extras = model.extras as Partial<ModelExtras>;
  const rest = extras.rest ?? {};
  return restored<ModelProto>(rest, {
    irVersion: model.irVersion === 0 ? undefined : long(model.irVersion),
    opsetImport: opsetImports(model, extras.opsetImport ?? []),
    producerName: model.producerName,
    producerVersion: model.producerVersion,
    graph: exportGraph(model.graph, tensors),
    metadataProps: metadataEntries(model.metadata, rest.metadataProps),
  });
}

/** The imports that came, with the versions of now, then those of new domains. */
function opsetImports(model: Model, came: readonly OperatorSetIdProto[]): OperatorSetIdProto[] {
  const kept = came.flatMap((entry) => {
    const version = model.opsets.get(opsetDomain(entry.domain));
    if (version === undefined) return [];
    return [version === (entry.version?.toNumber() ?? 0) ? entry : copyOf(entry, { version: long(version) })];
  });
  const listed = new Set(came.map((entry) => opsetDomain(entry.domain)));
  const added = [...model.opsets].filter(([domain]) => !listed.has(domain));
  return [...kept, ...added.map(([domain, version]) => ({ domain, version: long(version) }))];
}

function refuseName(name: string, path: string): void {
  if (name === '' || name === '.' || name === '..' || /[/\\:\0]/.test(name) || name === basename(path)) {
    fail('bad-usage', path, `${JSON.stringify(name)} cannot be the name of the data file`);
  }
}
