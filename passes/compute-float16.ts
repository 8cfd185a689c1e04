/**
 * Activations in float16.
 *
 * Matches: nodes that read or make float32 values and have float16 kernels in the runtimes of browsers, placeholders of projections
 * among them (`src/analysis/float32-nodes.ts`).
 * Becomes: the same nodes over float16, with casts where a float32 node or the interface meets them. Constants of at least 1 KB keep
 * their bytes and are cast when a session is made. MatMulNBits reads its activations through a Reshape and its codes through an
 * Identity, for the reasons given at `Expander` and `matMulNBits` in `src/emit`.
 * Why it is sound: each value is rounded to 11 bits. Values that were measured to leave the range of float16, normalizations and
 * angles stay float32, and so does what reads or makes them.
 * Refuses when: the graph has branches, whose nodes would read float16 values of the graph around them.
 */
import { constantOf } from '../src/analysis/constants.js';
import { elementTypeOf } from '../src/analysis/element-types.js';
import { float32Nodes, float32Values, isNoCast } from '../src/analysis/float32-nodes.js';
import { keyOf } from '../src/analysis/operators.js';
import { fail } from '../src/diagnostics.js';
import { int, string } from '../src/onnx/ir/attribute.js';
import { DTYPES } from '../src/onnx/ir/dtype.js';
import { isOp, type Node, placeOf, subgraphsOf, type Value, type ValueType } from '../src/onnx/ir/graph.js';
import { asHalf } from '../src/onnx/ir/half-storage.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { Rewriter } from '../src/onnx/rewrite/rewriter.js';

/** Names of float32 values that float16 does not hold. */
export type WideValues = ReadonlySet<string>;

export const computeFloat16: Pass<NoOptions, WideValues> = definePass<NoOptions, WideValues>({
  name: 'compute-float16',
  summary:
    'Computes in float16 between operators, and in float32 where float16 has too few digits or too small a range.',
  options: noOptions,
  keeps: 'values',
  material: 'the names of the values that were measured to leave the range of float16',
  run(rw, _, wide) {
    const branch = rw.model.graph.nodes.find((node) => subgraphsOf(node).length > 0);
    if (branch !== undefined)
      fail('unsupported-target', placeOf(branch), 'A graph with branches is not written in float16: export it without');
    new Narrower(rw, wide).run();
  },
});

/** Constants below this many bytes are stored in both types. */
const SMALL = 1024;

class Narrower {
  readonly #rw: Rewriter;
  readonly #floats: ReadonlySet<Value>;
  readonly #kept: ReadonlyMap<Node, unknown>;
  /** Values whose type is now float16. */
  readonly #changed: Set<Value> = new Set();
  /** The other form of a value. */
  readonly #half: Map<Value, Value> = new Map();
  readonly #full: Map<Value, Value> = new Map();
  /** What nodes have read before. */
  readonly #left: Set<Value> = new Set();

  constructor(rw: Rewriter, wide: WideValues) {
    this.#rw = rw;
    this.#floats = float32Values(rw.model);
    this.#kept = float32Nodes(rw.model, this.#floats, wide);
  }

  run(): void {
    for (const node of [...this.#rw.model.graph.nodes]) {
      if (this.#kept.has(node)) this.#widenInputs(node);
      else if ([...node.inputs, ...node.outputs].some((value) => value !== undefined && this.#floats.has(value)))
        this.#narrow(node);
    }
    this.#rw.dropUnused(this.#left);
  }

  /** A node that stays float32 reads float32. A Cast reads any type, Shape too. */
  #widenInputs(node: Node): void {
    if (/^(Cast|Shape)$/.test(keyOf(node))) return;
    node.inputs.forEach((value, slot) => {
      if (value !== undefined && this.#changed.has(value)) this.#rw.replaceInput(node, slot, this.#fullOf(value, node));
    });
  }

  #narrow(node: Node): void {
    const [input, output] = [node.inputs[0], node.outputs[0]];
    if (input !== undefined && output !== undefined && !output.isOutput && isNoCast(node, this.#floats)) {
      this.#rw.replaceUses(output, input);
      this.#rw.erase(node);
      return;
    }
    node.inputs.forEach((value, slot) => {
      if (value === undefined || !this.#floats.has(value)) return;
      this.#rw.replaceInput(node, slot, this.#halfOf(value, node));
      this.#left.add(value);
    });
    if (node.attributes.has('dtype') && node.domain === 'matquant')
      this.#rw.setAttribute(node, 'dtype', string('float16'));
    if (keyOf(node) === 'com.microsoft::MatMulNBits') this.#hold(node);
    if (node.outputs.some((value) => value?.isOutput && this.#floats.has(value))) this.#behindInterface(node);
    else for (const value of node.outputs) if (value !== undefined) this.#change(value);
  }

  #change(value: Value): void {
    if (!this.#floats.has(value)) return;
    this.#rw.setType(value, { dtype: 'float16', shape: value.type?.shape });
    this.#changed.add(value);
  }

  /** Outputs of the graph keep their type: a Cast makes them from those of a copy of the node. */
  #behindInterface(node: Node): void {
    const { op, domain, name, metadata } = node;
    const types = node.outputs.map((value): ValueType | undefined => value?.type && this.#typeOf(value, value.type));
    const copy = this.#rw.insertNode(node, {
      ...{ op, domain, name, metadata, types },
      inputs: [...node.inputs],
      attributes: Object.fromEntries(node.attributes),
    });
    [...node.outputs].forEach((value, slot) => {
      const made = copy.outputs[slot];
      if (value === undefined || made === undefined) return;
      if (!this.#floats.has(value) || !value.isOutput) this.#rw.replaceUses(value, made);
      if (this.#floats.has(value)) this.#changed.add(made);
      if (!value.isOutput) return;
      const to = this.#floats.has(value) ? 'float32' : (elementTypeOf(value) ?? 'float32');
      const attributes = { to: int(DTYPES[to].onnx) };
      this.#rw.takeOver(node, [value], { op: 'Cast', inputs: [made], attributes, name: `${name}/${to}` });
      this.#half.set(value, made);
    });
    this.#rw.erase(node);
  }

  #typeOf(value: Value, type: ValueType): ValueType {
    return this.#floats.has(value) ? { dtype: 'float16', shape: type.shape } : type;
  }

  /** See `matMulNBits` and `Expander`: what ONNX Runtime must not pack before scales are folded, nor turn into float32. */
  #hold(node: Node): void {
    const [input, codes, scales] = node.inputs;
    const name = placeOf(node);
    if (input !== undefined && this.#changed.has(input)) {
      const shape = this.#rw.insert(node, { op: 'Shape', inputs: [input], name: `${name}/input/Shape` });
      const held = this.#rw.insert(node, { op: 'Reshape', inputs: [input, shape], name: `${name}/input/Reshape` });
      this.#rw.replaceInput(node, 0, held);
    }
    if (codes?.initializer !== undefined && scales?.initializer === undefined)
      this.#rw.replaceInput(
        node,
        1,
        this.#rw.insert(node, { op: 'Identity', inputs: [codes], name: `${name}/codes/Identity` }),
      );
  }

  /** The float16 form of a float32 value, for a node and those after it. */
  #halfOf(value: Value, anchor: Node): Value {
    if (this.#changed.has(value)) return value;
    const known = this.#half.get(value) ?? this.#makeHalf(value, anchor);
    this.#half.set(value, known);
    return known;
  }

  #makeHalf(value: Value, anchor: Node): Value {
    const tensor = constantOf(value);
    if (tensor !== undefined && tensor.byteLength < SMALL)
      return this.#rw.initializer(this.#rw.model.graph, `${value.name}_float16`, asHalf(tensor, {}));
    const { producer } = value;
    const [from] = isOp(producer, 'Cast') ? producer.inputs : [];
    if (from !== undefined && (this.#changed.has(from) || elementTypeOf(from) === 'float16')) return from;
    return this.#cast(value, 'float16', anchor);
  }

  #fullOf(value: Value, anchor: Node): Value {
    const known = this.#full.get(value) ?? this.#cast(value, 'float32', anchor);
    this.#full.set(value, known);
    return known;
  }

  #cast(value: Value, to: 'float16' | 'float32', anchor: Node): Value {
    const attributes = { to: int(DTYPES[to].onnx) };
    const types = [{ dtype: to, shape: value.type?.shape }] as const;
    return this.#rw.insert(anchor, { op: 'Cast', inputs: [value], attributes, name: `${value.name}/${to}`, types });
  }
}
