/** ONNX models to the IR. Nothing is lost: what the IR does not model is kept in `extras` for `exportModel`. */

import { fail } from '../../diagnostics.js';
import { bytesPayload } from '../../files/payload.js';
import type { Model } from '../ir/graph.js';
import * as mutate from '../ir/mutate.js';
import { verifyOrFail } from '../ir/verify.js';
import { DataFiles } from '../proto/data-file.js';
import { decodeModel } from '../proto/decode.js';
import { MODEL, type ModelProto } from '../proto/messages.js';
import { mapTensors } from '../proto/tensors.js';
import { importGraph } from './import-graph.js';
import { TensorImporter } from './import-tensor.js';
import { inlineFunctions } from './inline-functions.js';
import { isPlainMetadata, leftovers, metadataMap } from './leftovers.js';
import { opsetDomain } from './opset-domain.js';

/** What export needs to write the parts of a model that the IR does not model. */
export interface ModelExtras {
  /** Functions, training information and other fields the IR does not interpret; their external data turned into payloads. */
  readonly rest: ModelProto;
  /** The opset imports as they came. */
  readonly opsetImport: NonNullable<ModelProto['opsetImport']>;
}

export interface ImportOptions {
  /** What becomes of local functions: they stay calls that nothing looks into, or their nodes take the place of the calls. */
  readonly functions?: 'keep' | 'inline';
}

/** The files of models that were imported from a path. */
const filesOf: WeakMap<Model, DataFiles> = new WeakMap();

/**
 * Reads the model at `path` with its external data beside it. Weights stay in their files and are read on demand; a read fails with
 * `input-changed` when its file is not what it was.
 */
export function importModel(path: string, { functions = 'keep' }: ImportOptions = {}): Model {
  const files = new DataFiles();
  const message = decodeModel(files.file(path), path);
  const model = modelOf(functions === 'inline' ? inlineFunctions(message, path) : message, path, path, files);
  filesOf.set(model, files);
  return model;
}

/** Reads an encoded model in memory. External data is looked for in the folder of `path`, when given. */
export function importBytes(bytes: Uint8Array, path?: string): Model {
  return importMessage(decodeModel(bytesPayload(bytes), path ?? 'model'), path);
}

/** The model of a decoded message. External data is looked for in the folder of `path`, when given. */
export function importMessage(message: ModelProto, path?: string): Model {
  const files = new DataFiles();
  const model = modelOf(message, path, path ?? 'model', files);
  filesOf.set(model, files);
  return model;
}

/** The model's own file and its data files, by real path. */
export function filesOfModel(model: Model): readonly string[] {
  return filesOf.get(model)?.paths ?? [];
}

const MODEL_FIELDS = ['irVersion', 'opsetImport', 'producerName', 'producerVersion', 'graph', 'metadataProps'] as const;

function modelOf(message: ModelProto, path: string | undefined, at: string, files: DataFiles): Model {
  const tensors = new TensorImporter(path, files);
  if (!message.graph) fail('not-onnx', at, 'the message has no graph');
  const graph = importGraph(message.graph, tensors, at);
  const model = mutate.newModel(graph, message.irVersion?.toNumber() ?? 0, opsetsOf(message, at));
  mutate.setProducer(model, message.producerName ?? '', message.producerVersion ?? '');
  mutate.setMetadata(model, metadataMap(message.metadataProps));
  const keys = isPlainMetadata(message.metadataProps) ? MODEL_FIELDS : MODEL_FIELDS.slice(0, -1);
  const rest = mapTensors(leftovers(message, keys), MODEL, (tensor) => tensors.localised(tensor, at));
  const extras: ModelExtras = { rest, opsetImport: message.opsetImport ?? [] };
  mutate.setExtras(model, { ...extras });
  tensors.finish();
  verifyOrFail(model);
  return model;
}

function opsetsOf(message: ModelProto, at: string): ReadonlyMap<string, number> {
  const opsets = new Map<string, number>();
  for (const entry of message.opsetImport ?? []) {
    const domain = opsetDomain(entry.domain);
    const version = entry.version?.toNumber() ?? 0;
    if (opsets.has(domain) && opsets.get(domain) !== version) {
      fail('invalid-graph', at, `two versions of the operators of ${domain || 'ai.onnx'} are imported`);
    }
    opsets.set(domain, version);
  }
  if (opsets.size === 0) fail('invalid-graph', at, 'the model does not say which operator set it uses');
  return opsets;
}
