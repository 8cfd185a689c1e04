/** Largest magnitudes of activations: what decides whether float16 holds them. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { constantNodes } from '../analysis/constant-nodes.js';
import { elementTypeOf } from '../analysis/element-types.js';
import { temporaryFolder } from '../files/temporary.js';
import { exportModel } from '../onnx/convert/export.js';
import { importModel } from '../onnx/convert/import.js';
import { int } from '../onnx/ir/attribute.js';
import type { Model, Node, Value } from '../onnx/ir/graph.js';
import { float32s, int64s } from '../onnx/ir/tensor.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { openDecoder } from '../runtime/decoder.js';
import { promptFeeds } from '../runtime/feeds.js';
import { readHints } from '../runtime/hints.js';
import { numbersOf, type Runtime } from '../runtime/runtime.js';

export interface RangesOptions {
  readonly runtime: Runtime;
  /** Values that are measured. */
  readonly names: ReadonlySet<string>;
  /** Token ids to run, each window from an empty cache; the size of the vocabulary is given where it is known. */
  readonly windows: (vocabulary: number | undefined) => readonly ArrayLike<number>[];
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

/** By name, the largest |value| over all windows of the float32 values that nodes of the main graph of a decoder make; none where it computes in float16. */
export async function activationRanges(path: string, options: RangesOptions): Promise<ReadonlyMap<string, number>> {
  const { runtime, names, windows, threads, signal } = options;
  const model = importModel(path);
  const outputs = addRanges(model, names);
  if (outputs.size === 0) return new Map();
  const folder = temporaryFolder('ranges');
  try {
    const copy = exportModel(model, join(folder, 'ranges.onnx')).path;
    const decoder = await openDecoder(runtime, copy, threads === undefined ? {} : { threads }, readHints(path));
    const found = new Map<string, number>();
    try {
      for (const window of windows(decoder.vocabulary)) {
        signal?.throwIfAborted();
        const made = await decoder.session.run(promptFeeds(decoder, window), [...outputs.values()]);
        for (const [name, output] of outputs) {
          const tensor = made[output];
          const [largest = 0] = tensor === undefined ? [] : numbersOf(tensor);
          found.set(name, Math.max(found.get(name) ?? 0, Number.isNaN(largest) ? Number.POSITIVE_INFINITY : largest));
        }
      }
    } finally {
      await decoder.session.close();
    }
    return found;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The values that a node computes. Caches of GroupQueryAttention may be buffers that are not filled: keys and values are measured before it. */
const computedBy = (node: Node): readonly Value[] =>
  (node.op === 'GroupQueryAttention' ? node.outputs.slice(0, 1) : node.outputs).filter((value) => value !== undefined);

/** Adds an output max(|x|, 0) for each value: by its name, the name of the output. */
function addRanges(model: Model, names: ReadonlySet<string>): ReadonlyMap<string, string> {
  const rw = new Rewriter(model);
  const { graph } = model;
  const constants = constantNodes(model);
  const measured = graph.nodes.flatMap((node) =>
    constants.has(node) ? [] : computedBy(node).filter(({ name }) => names.has(name)),
  );
  const list = rw.initializer(graph, 'ranges/list', int64s([-1]));
  const zero = rw.initializer(graph, 'ranges/zero', float32s(new Float32Array(1)));
  const found = new Map<string, string>();
  for (const value of measured.filter((each) => elementTypeOf(each) === 'float32')) {
    const step = (op: string, inputs: readonly Value[], attributes = {}): Value =>
      rw.insert(graph, { op, inputs, attributes, name: `ranges/${value.name}/${op}` });
    const flat = step('Reshape', [step('Abs', [value]), list]);
    // A maximum over nothing is an error, and caches are empty.
    const some = step('Concat', [flat, zero], { axis: int(0) });
    const largest = step('ReduceMax', [some], { keepdims: int(1) });
    rw.addOutput(graph, largest, { dtype: 'float32', shape: [1] });
    found.set(value.name, largest.name);
  }
  return found;
}
