/**
 * Every tensor stored once.
 *
 * Matches: initializers of one type, shape and content, in the same graph or in a graph around it.
 * Becomes: the first of them, outer graphs first, read by all.
 * Why it is sound: a value is its bytes; every reader sees the first, since it lives in the same or an outer scope.
 * Refuses when: the initializer is a graph input or output, whose name is the interface. Transposed copies are another pass.
 */
import { z } from 'zod';
import { type Graph, subgraphsOf, type Value } from '../src/onnx/ir/graph.js';
import { sameTensor, type Tensor } from '../src/onnx/ir/tensor.js';
import { definePass, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

export interface DedupeInitializersOptions {
  readonly minBytes: number;
}

const options: z.ZodType<DedupeInitializersOptions> = z.strictObject({
  minBytes: z.number().int().min(0).default(0).describe('Leave tensors of fewer bytes as they are.'),
});

export const dedupeInitializers: Pass<DedupeInitializersOptions> = definePass({
  name: 'dedupe-initializers',
  summary: 'Stores initializers of equal content once.',
  options,
  needs: [],
  gives: [],
  keeps: 'bits',
  idempotent: true,
  run(rw, { minBytes }) {
    visit(rw, rw.model.graph, new Map(), minBytes);
  },
});

/** Initializers that readers of a graph can see, by a key that equal tensors share. */
type Seen = ReadonlyMap<string, readonly Value[]>;

function visit(rw: Rewriter, graph: Graph, outer: Seen, minBytes: number): void {
  const seen = new Map(outer);
  for (const value of [...graph.initializers]) {
    const tensor = value.initializer;
    if (tensor === undefined || value.isInput || tensor.dtype === 'string' || tensor.byteLength < minBytes) continue;
    const key = keyOf(tensor);
    const known = seen.get(key) ?? [];
    const first = known.find(({ initializer }) => initializer !== undefined && sameTensor(initializer, tensor));
    if (first !== undefined && !value.isOutput) merge(rw, value, first);
    else seen.set(key, [...known, value]);
  }
  for (const node of graph.nodes) for (const inner of subgraphsOf(node)) visit(rw, inner, seen, minBytes);
}

function merge(rw: Rewriter, value: Value, first: Value): void {
  rw.replaceUses(value, first);
  rw.eraseInitializer(value);
}

/** Bytes at either end that go into the key: projections of one shape differ there, so that whole tensors are seldom compared. */
const ENDS = 64;

function keyOf(tensor: Tensor): string {
  const { dtype, shape, byteLength } = tensor;
  const ends = [tensor.bytes(0, Math.min(ENDS, byteLength)), tensor.bytes(Math.max(0, byteLength - ENDS), byteLength)];
  return `${dtype} [${shape}] ${ends.map((bytes) => Buffer.from(bytes).toString('hex')).join(' ')}`;
}
