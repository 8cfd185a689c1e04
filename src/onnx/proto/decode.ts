/** Bytes to messages. Weights of 1 KiB and more stay where they are: the message says where to find them. */
import { CompilerError, fail } from '../../diagnostics.js';
import { bytesPayload, join, type Payload } from '../../files/payload.js';
import type { DataFile } from './data-file.js';
import { decode, MODEL, type ModelProto } from './messages.js';
import { inlineToken, payloadToken, readToken, splice } from './splice.js';
import { visitTensors } from './tensors.js';

/** `raw_data` from this size on is not loaded. */
const CUT_FROM = 1024;

/** No protobuf message may be larger; its lengths are signed 32-bit numbers. */
export const MESSAGE_LIMIT: number = 2 ** 31 - 1;

/** Reads the model in a file; memory grows with the graph, not with the weights inside. */
export function decodeModelFile(file: DataFile): ModelProto {
  return decodeModel(file, file.path);
}

/** Reads a model from any source; `at` names it in errors. */
export function decodeModel(source: Payload, at: string): ModelProto {
  if (source.length === 0) fail('not-onnx', at, 'the file is empty');
  if (source.length > MESSAGE_LIMIT) {
    fail('message-too-large', at, `the message has ${source.length} bytes; protobuf allows ${MESSAGE_LIMIT}`);
  }
  const payloads: Payload[] = [];
  const skeleton = splice(source, MODEL, (bytes) => cut(bytes, payloads), at);
  const message = decodeSkeleton(join(skeleton), at);
  visitTensors(message, MODEL, (tensor) => {
    if (!tensor.rawData) return;
    const token = readToken(tensor.rawData);
    if ('bytes' in token) {
      // A fresh array, so that the bytes are aligned for typed arrays and do not keep the skeleton alive.
      tensor.rawData = Uint8Array.from(token.bytes);
      return;
    }
    delete tensor.rawData;
    tensor.payload = payloads[token.index] ?? fail('not-onnx', at, 'a tensor has no bytes');
  });
  return message;
}

function cut(bytes: Payload, payloads: Payload[]): readonly Payload[] {
  if (bytes.length < CUT_FROM) return inlineToken(bytes);
  return [bytesPayload(payloadToken(payloads.push(bytes) - 1))];
}

function decodeSkeleton(skeleton: Uint8Array, at: string): ModelProto {
  try {
    const message = decode(MODEL, skeleton) as ModelProto;
    if (!message.graph) fail('not-onnx', at, 'the message has no graph');
    return message;
  } catch (error) {
    if (error instanceof CompilerError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    return fail(/max depth/.test(reason) ? 'too-deep' : 'not-onnx', at, `the message cannot be decoded: ${reason}`);
  }
}
