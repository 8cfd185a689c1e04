/**
 * Explicit nodes of a learned transform around projections (MatQuant eq. 4): XW + b → ((X ⊘ s) − δ) · Q(W ⊙ s) + b + δ(W ⊙ s),
 * with δ in the units of the scaled input. What is stored of the weight already holds s.
 */

import type { Node, Value } from '../onnx/ir/graph.js';
import { float32s } from '../onnx/ir/tensor.js';
import type { Rewriter } from '../onnx/rewrite/rewriter.js';
import { type Placeholder, placeholdersOf } from './sites.js';

/** What happens to the input and output of one projection; projections that read the same input share the arrays of it. */
export interface Entry {
  /** 1/s [k], or undefined where s is 1 or folded. */
  readonly inverse: Float32Array | undefined;
  /** δ [k]. */
  readonly shift: Float32Array | undefined;
  /** δ(W ⊙ s) [n], before a product's own factor. */
  readonly restored: Float32Array | undefined;
}

/** Puts the nodes of `entries`, by projection, around placeholders; they then belong to what stays float. */
export function enterProjections(rw: Rewriter, entries: ReadonlyMap<string, Entry>): void {
  const shared = new Map<Value, Map<Float32Array, Value>>();
  for (const site of placeholdersOf(rw.model)) {
    const entry = entries.get(site.id);
    if (entry === undefined) continue;
    const scaled = changed(rw, site, site.input, 'Mul', entry.inverse, shared);
    const input = changed(rw, site, scaled, 'Sub', entry.shift, shared);
    const bias = biasOf(rw, site, entry.restored);
    rw.replaceNode(site.node, {
      op: site.node.op,
      domain: site.node.domain,
      inputs: bias === undefined ? [input] : [input, bias],
      attributes: Object.fromEntries(site.node.attributes),
      name: site.node.name,
    });
  }
}

/** The value with a vector applied to it, made once for all who read both. */
function changed(
  rw: Rewriter,
  { node }: Placeholder,
  value: Value,
  op: 'Mul' | 'Sub',
  vector: Float32Array | undefined,
  shared: Map<Value, Map<Float32Array, Value>>,
): Value {
  if (vector === undefined) return value;
  const known = shared.get(value) ?? new Map<Float32Array, Value>();
  const made = known.get(vector) ?? insert(rw, node, value, op, vector);
  shared.set(value, known.set(vector, made));
  return made;
}

function insert(rw: Rewriter, node: Node, value: Value, op: string, vector: Float32Array): Value {
  const name = `${node.name}/${op === 'Mul' ? 'unscaled' : 'shifted'}`;
  const constant = rw.initializer(node.graph, `${name}/vector`, float32s(vector, [vector.length]));
  return rw.insert(node, { op, inputs: [value, constant], name });
}

function biasOf(
  rw: Rewriter,
  { node, bias, alpha }: Placeholder,
  restored: Float32Array | undefined,
): Value | undefined {
  if (restored === undefined) return bias;
  const values = restored.map((value) => alpha * value);
  const constant = rw.initializer(node.graph, `${node.name}/restored`, float32s(values, [values.length]));
  return bias === undefined
    ? constant
    : rw.insert(node, { op: 'Add', inputs: [bias, constant], name: `${node.name}/bias` });
}
