/** IR versions: the lowest that a model needs, since runtimes refuse models of a version they do not know. */
import type { DType } from '../ir/dtype.js';
import { graphsOf, type Model, valuesIn } from '../ir/graph.js';
import * as mutate from '../ir/mutate.js';

/** Operator sets and the IR version that ONNX released with them (onnx/docs/Versioning.md, released versions). */
const RELEASED: readonly (readonly [opset: number, irVersion: number])[] = [
  [25, 13],
  [24, 12],
  [23, 11],
  [21, 10],
  [19, 9],
  [15, 8],
  [12, 7],
];

/** The IR version that came with an operator set. */
export function irVersionOf(opset: number): number {
  return RELEASED.find(([first]) => opset >= first)?.[1] ?? 6;
}

/** Element types that an IR version brought (onnx.proto, comments on `DataType`). */
const BROUGHT: Partial<Record<DType, number>> = {
  float8e4m3fn: 9,
  float8e4m3fnuz: 9,
  float8e5m2: 9,
  float8e5m2fnuz: 9,
  uint4: 10,
  int4: 10,
  float4e2m1: 11,
  float8e8m0: 12,
  uint2: 13,
  int2: 13,
};

/** Every reader of today knows it, and it holds the metadata of nodes. */
const ORDINARY = 10;

/** The IR version that a model has, or a lower one that its operator set and element types do with. */
export function fittingIr(model: Model): number {
  let needed = Math.max(ORDINARY, irVersionOf(model.opsets.get('') ?? 1));
  for (const version of typesOf(model)) needed = Math.max(needed, version);
  return Math.min(model.irVersion, needed);
}

/** Lowers the IR version of a model to what it needs. */
export function fitIr(model: Model): void {
  mutate.setIrVersion(model, fittingIr(model));
}

function* typesOf(model: Model): Generator<number> {
  for (const graph of graphsOf(model.graph)) {
    for (const { initializer, type } of valuesIn(graph))
      yield BROUGHT[initializer?.dtype ?? type?.dtype ?? 'float32'] ?? 0;
    for (const node of graph.nodes)
      for (const attribute of node.attributes.values())
        if (attribute.kind === 'tensor') yield BROUGHT[attribute.value.dtype] ?? 0;
  }
}
