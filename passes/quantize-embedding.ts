/**
 * Token embedding and head from packed codes.
 *
 * Matches: Gather(T, ids) with a constant table T [V, H], and/or the head product X . Tt that reads the same values.
 * Becomes: GatherBlockQuantized over the blob reshaped to [V, H * bits / 8], and MatMulNBits over the blob [V, H / block, bytes];
 * a tied pair reads one blob, so the file holds it once.
 * Why it is sound: both operators decode (code - zero point) * scale per block of a row (com.microsoft operator
 * specifications), and a row of the table is an output column of the head.
 * Refuses when: the hidden size is not a multiple of the block, because GatherBlockQuantized would return the padding.
 */

import type { Embedding, Projection } from '../src/analysis/projection.js';
import { fail } from '../src/diagnostics.js';
import { int } from '../src/ir/attribute.js';
import { DTYPES, type DType } from '../src/ir/dtype.js';
import type { Graph, Model, Node, Value } from '../src/ir/graph.js';
import { float32Scalar, int64s, type Tensor } from '../src/ir/tensor.js';
import type { Rewriter } from '../src/rewrite/rewriter.js';

/** One quantized table, packed as MatMulNBits wants it. */
export interface PackedTable {
  readonly bits: 2 | 4 | 8;
  readonly block: number;
  /** uint8 [V, H / block, block * bits / 8]. */
  readonly codes: Tensor;
  /** [V, H / block] in any float type; cast to the graph's when the session loads. */
  readonly scales: Tensor;
  /** Packed uint8 [V, ceil(H / block * bits / 8)]; absent means 2^(bits-1). */
  readonly zeroPoints: Tensor | undefined;
}

/** What to rewrite: the embedding, the head, or both from one table. */
export interface EmbeddingTargets {
  readonly name: string;
  readonly embedding: Embedding | undefined;
  readonly head: Projection | undefined;
  readonly accuracyLevel: 0 | 4;
}

const MICROSOFT = 'com.microsoft';

/** Rewrites the targets to read `table`, and drops the float tables that nobody reads any more. */
export function quantizeEmbedding(rw: Rewriter, targets: EmbeddingTargets, table: PackedTable): void {
  const hidden = targets.embedding?.hidden ?? targets.head?.k ?? 0;
  if (hidden % table.block !== 0) {
    fail('unsupported-target', targets.name, `The hidden size ${hidden} is not a multiple of the block ${table.block}`);
  }
  rw.requireDomain(MICROSOFT, 1);
  const parts = placeParts(rw, rw.model, targets.name, table);
  const sources: Value[] = [];
  for (const node of targets.embedding?.nodes ?? []) sources.push(...gatherFrom(rw, node, parts, table, hidden));
  for (const site of targets.head?.sites ?? []) {
    sources.push(...site.node.inputs.slice(1).filter((value) => value !== undefined));
    multiplyFrom(rw, site.node, site.input, parts, table, targets);
  }
  for (const value of new Set(sources)) rw.dropIfUnused(value);
}

interface Parts {
  readonly codes: Value;
  readonly scales: Tensor;
  readonly stored: Value;
  readonly zeroPoints: Value | undefined;
  readonly cast: Map<DType, Value>;
  readonly graph: Graph;
}

function placeParts(rw: Rewriter, model: Model, name: string, table: PackedTable): Parts {
  const graph = model.graph;
  return {
    codes: rw.initializer(graph, `${name}_Q${table.bits}`, table.codes),
    stored: rw.initializer(graph, `${name}_scales`, table.scales),
    scales: table.scales,
    zeroPoints: table.zeroPoints && rw.initializer(graph, `${name}_zero_points`, table.zeroPoints),
    cast: new Map(),
    graph,
  };
}

/** The scales in the element type of the place that reads them; the Cast is folded when the session loads. */
function scalesIn(rw: Rewriter, parts: Parts, dtype: DType): Value {
  if (parts.scales.dtype === dtype) return parts.stored;
  const known = parts.cast.get(dtype);
  if (known !== undefined) return known;
  const first = parts.graph.nodes[0] ?? parts.graph;
  const to = int(DTYPES[dtype].onnx);
  const made = rw.insert(first, {
    op: 'Cast',
    inputs: [parts.stored],
    attributes: { to },
    name: `${parts.stored.name}/Cast`,
  });
  parts.cast.set(dtype, made);
  return made;
}

function gatherFrom(rw: Rewriter, node: Node, parts: Parts, table: PackedTable, hidden: number): Value[] {
  const [data, indices] = node.inputs;
  const rows = parts.codes.initializer?.shape[0] ?? 0;
  const shape = rw.initializer(parts.graph, `${parts.codes.name}/shape`, int64s([rows, (hidden * table.bits) / 8]));
  const flat = rw.insert(node, { op: 'Reshape', inputs: [parts.codes, shape], name: `${parts.codes.name}/Reshape` });
  const dtype = node.outputs[0]?.type?.dtype ?? embeddingType(data) ?? 'float32';
  rw.replaceNode(node, {
    op: 'GatherBlockQuantized',
    domain: MICROSOFT,
    inputs: [flat, indices, scalesIn(rw, parts, dtype), ...(parts.zeroPoints === undefined ? [] : [parts.zeroPoints])],
    attributes: { gather_axis: int(0), quantize_axis: int(1), block_size: int(table.block), bits: int(table.bits) },
    name: `${node.name || 'embedding'}_Q${table.bits}`,
  });
  return data === undefined ? [] : [data];
}

/** Element type of a table seen through the nodes in front of a Gather. */
function embeddingType(value: Value | undefined): DType | undefined {
  if (value === undefined) return undefined;
  return value.initializer?.dtype ?? value.type?.dtype ?? embeddingType(value.producer?.inputs[0]);
}

function multiplyFrom(
  rw: Rewriter,
  node: Node,
  input: Value,
  parts: Parts,
  table: PackedTable,
  targets: EmbeddingTargets,
): void {
  const site = targets.head?.sites.find((each) => each.node === node);
  if (targets.head === undefined || site === undefined || site.bias !== undefined) {
    fail('unsupported-model', targets.name, 'A head with a bias cannot be quantized together with the embedding');
  }
  const { k, n } = targets.head;
  const shared = {
    op: 'MatMulNBits',
    domain: MICROSOFT,
    inputs: [
      input,
      parts.codes,
      scalesIn(rw, parts, site.dtype),
      ...(parts.zeroPoints === undefined ? [] : [parts.zeroPoints]),
    ],
    attributes: {
      K: int(k),
      N: int(n),
      bits: int(table.bits),
      block_size: int(table.block),
      accuracy_level: int(targets.accuracyLevel),
    },
    name: `${node.name || 'head'}_Q${table.bits}`,
  };
  if (site.alpha === 1) {
    rw.replaceNode(node, shared);
    return;
  }
  const product = rw.insert(node, shared);
  const alpha = rw.initializer(parts.graph, `${shared.name}/alpha`, alphaOf(site.alpha, site.dtype));
  rw.replaceNode(node, { op: 'Mul', inputs: [product, alpha], name: `${shared.name}/Mul` });
}

function alphaOf(alpha: number, dtype: DType): Tensor {
  if (dtype !== 'float32') fail('unsupported-model', 'head', `A scaled head of type ${dtype} is not supported`);
  return float32Scalar(alpha);
}
