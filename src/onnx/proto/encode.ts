/** Messages to bytes. Payloads are streamed into place, so a model with large weights inside is never held as a whole. */
import { fail } from '../../diagnostics.js';
import { bytesPayload, join, lengthOf, type Payload } from '../../files/payload.js';
import { MESSAGE_LIMIT } from './decode.js';
import { copyOf, encode, MODEL, type ModelProto, type TensorProto } from './messages.js';
import { payloadToken, readToken, splice } from './splice.js';
import { mapTensors } from './tensors.js';

/** The encoded model as pieces to be written one after another; `at` names it in errors. */
export function encodeModelPieces(message: ModelProto, at: string): readonly Payload[] {
  const payloads: Payload[] = [];
  const tokens = mapTensors(message, MODEL, (tensor) => withToken(tensor, payloads));
  const expand = (token: Payload): readonly Payload[] => {
    const read = readToken(token.read(0, token.length));
    return [
      ('bytes' in read ? bytesPayload(read.bytes) : payloads[read.index]) ??
        fail('not-onnx', at, 'a tensor has no bytes'),
    ];
  };
  const pieces = splice(bytesPayload(encode(MODEL, tokens)), MODEL, expand, at);
  const length = lengthOf(pieces);
  if (length > MESSAGE_LIMIT) {
    fail('message-too-large', at, `the message would have ${length} bytes; protobuf allows ${MESSAGE_LIMIT}`);
  }
  return pieces;
}

/** The encoded model in memory. */
export function encodeModel(message: ModelProto, at = 'model'): Uint8Array {
  return join(encodeModelPieces(message, at));
}

function withToken(tensor: TensorProto, payloads: Payload[]): TensorProto {
  if (tensor.payload !== undefined) {
    return copyOf(tensor, { payload: undefined, rawData: payloadToken(payloads.push(tensor.payload) - 1) });
  }
  if (!tensor.rawData) return tensor;
  const token = new Uint8Array(tensor.rawData.length + 1);
  token.set(tensor.rawData, 1);
  return copyOf(tensor, { rawData: token });
}
