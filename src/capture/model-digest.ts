/** A digest of what a model computes: operators, connections, attributes that are numbers or text, and every weight. */
import { createHash, type Hash } from 'node:crypto';
import type { Attribute } from '../onnx/ir/attribute.js';
import { graphsOf, type Model } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';

const CHUNK = 1 << 22;
/** One piece at a time: fresh ones would wait for the garbage collector by the hundred megabytes. */
const piece = new Uint8Array(CHUNK);

/** SHA-256 in hex. Reads all weights once, in pieces. */
export function digestOfModel(model: Model): string {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([...model.opsets].sort()));
  for (const graph of graphsOf(model.graph)) {
    hash.update(JSON.stringify([graph.inputs.map(({ name }) => name), graph.outputs.map(({ name }) => name)]));
    for (const value of graph.initializers) if (value.initializer) addTensor(hash, value.name, value.initializer);
    for (const node of graph.nodes) {
      const names = [...node.inputs, ...node.outputs].map((value) => value?.name ?? '');
      hash.update(JSON.stringify([node.domain, node.op, names]));
      for (const [name, attribute] of node.attributes) addAttribute(hash, name, attribute);
    }
  }
  return hash.digest('hex');
}

function addAttribute(hash: Hash, name: string, attribute: Attribute): void {
  hash.update(`${name}:${attribute.kind}`);
  if (attribute.kind === 'tensor') addTensor(hash, name, attribute.value);
  else if (attribute.kind === 'tensors') for (const each of attribute.value) addTensor(hash, name, each);
  else if (attribute.kind !== 'graph' && attribute.kind !== 'graphs' && attribute.kind !== 'opaque') {
    const value: unknown = attribute.value;
    hash.update(Array.isArray(value) ? value.join(' ') : String(value));
  }
}

function addTensor(hash: Hash, name: string, tensor: Tensor): void {
  hash.update(JSON.stringify([name, tensor.dtype, tensor.shape]));
  for (const text of tensor.strings ?? []) hash.update(`${text.length}:`).update(text);
  if (tensor.strings !== undefined) return;
  for (let at = 0; at < tensor.byteLength; at += CHUNK) {
    hash.update(tensor.bytes(at, Math.min(at + CHUNK, tensor.byteLength), piece));
  }
}
