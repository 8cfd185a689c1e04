/**
 * Token embedding and head from packed codes.
 *
 * Matches: Gather(T, ids) with a constant table T [V, H], and/or the head product X . Tt that reads the same values.
 * Becomes: GatherBlockQuantized over the blob as [V, H * bits / 8], and MatMulNBits over the blob as [V, H / block, bytes]; the two
 * initializers are the same bytes, so the file holds them once, and nothing is copied or folded when a session is made. Where
 * scales are computed, MatMulNBits reads its codes through an Identity, for the reason given at `matMulNBits`.
 * With `lookup: 'standard'` only standard operators read the rows, for runtimes without GatherBlockQuantized (`standardLookup`).
 * Why it is sound: both operators decode (code - zero point) * scale per block of a row (com.microsoft operator
 * specifications), and a row of the table is an output column of the head.
 * Refuses when: an embedding's hidden size is not a multiple of the block, because GatherBlockQuantized would return the padding;
 * an element type is neither float32 nor float16.
 */
import { elementTypeOf } from '../src/analysis/element-types.js';
import type { Embedding, Projection, Site } from '../src/analysis/projection.js';
import { fail } from '../src/diagnostics.js';
import { standardLookup } from '../src/emit/standard-lookup.js';
import { int } from '../src/onnx/ir/attribute.js';
import { DTYPES, type DType } from '../src/onnx/ir/dtype.js';
import type { Graph, Node, Value } from '../src/onnx/ir/graph.js';
import { float16Bits } from '../src/onnx/ir/half.js';
import { float32Scalar, int64s, reshaped, type Tensor, tensorOf } from '../src/onnx/ir/tensor.js';
import { definePass, type NoOptions, noOptions, type Pass } from '../src/onnx/rewrite/define-pass.js';
import type { NewNode, Rewriter } from '../src/onnx/rewrite/rewriter.js';

/** One quantized table, packed as MatMulNBits wants it. */
export interface PackedTable {
  readonly bits: 2 | 4 | 8;
  readonly block: number;
  /** uint8 [V, ceil(H / block), block * bits / 8]. */
  readonly codes: Tensor;
  /** [V, ceil(H / block)] in any float type; with `supers` 8-bit codes [groups, n] of them. Cast when the session loads. */
  readonly scales: Tensor;
  /** float16 [groups, 1]: scale = code * super. */
  readonly supers?: Tensor | undefined;
  /** Packed uint8 [V, ceil(blocks * bits / 8)]; absent means 2^(bits-1). */
  readonly zeroPoints?: Tensor | undefined;
}

/** What to rewrite: the embedding, the head, or both from one table. */
export interface TableTarget {
  /** Names of the new tensors begin with it. */
  readonly name: string;
  readonly embedding: Embedding | undefined;
  readonly head: Projection | undefined;
  readonly accuracyLevel: 0 | 4;
  readonly table: PackedTable;
  /** How rows are read: GatherBlockQuantized (default), or operators of standard ONNX, without zero points. */
  readonly lookup?: 'fused' | 'standard';
}

const MICROSOFT = 'com.microsoft';

export const quantizeEmbedding: Pass<NoOptions, readonly TableTarget[]> = definePass<NoOptions, readonly TableTarget[]>(
  {
    name: 'quantize-embedding',
    summary: 'Reads the token embedding and the head from packed codes, a tied pair from one blob.',
    options: noOptions,
    keeps: 'interface',
    material: 'the packed codes and scales of the tables, and who reads them',
    run: (rw, _, targets) => {
      for (const target of targets) quantize(rw, target);
    },
  },
);

function quantize(rw: Rewriter, target: TableTarget): void {
  const { embedding, head, table, name } = target;
  if (embedding !== undefined && embedding.hidden % table.block !== 0) {
    fail(
      'unsupported-target',
      name,
      `The hidden size ${embedding.hidden} is not a multiple of the block ${table.block}`,
    );
  }
  rw.requireDomain(MICROSOFT, 1);
  const parts = new Parts(rw, target);
  const sources: (Value | undefined)[] = [];
  for (const node of embedding?.nodes ?? []) {
    sources.push(node.inputs[0]);
    gather(rw, node, parts, target);
  }
  for (const site of head?.sites ?? []) {
    sources.push(...site.node.inputs.slice(1));
    multiply(rw, site, parts, target);
  }
  for (const value of new Set(sources)) if (value !== undefined) rw.dropIfUnused(value);
}

/** The shared constants of a table, at the start of the main graph, where branches see them too; each made when asked for. */
class Parts {
  readonly zeroPoints: readonly Value[];
  readonly #rw: Rewriter;
  readonly #target: TableTarget;
  readonly #made: Map<string, Value> = new Map();

  constructor(rw: Rewriter, target: TableTarget) {
    this.#rw = rw;
    this.#target = target;
    const { name, table } = target;
    const { zeroPoints } = table;
    this.zeroPoints = zeroPoints ? [rw.initializer(this.#graph, `${name}_zero_points`, zeroPoints)] : [];
  }

  get #graph(): Graph {
    return this.#rw.model.graph;
  }

  /** The codes as rows of bytes [V, H * bits / 8]: the same bytes under another shape. */
  rows(): Value {
    const { codes, bits } = this.#target.table;
    const [rows = 0, blocks = 0, bytes = 0] = codes.shape;
    return this.#once('rows', () => this.#constant(`Q${bits}_rows`, reshaped(codes, [rows, blocks * bytes])));
  }

  /** The codes as blocks [V, H / block, bytes]; not constant before optimization where the scales are not. */
  codes(scales: Value): Value {
    const { codes, bits } = this.#target.table;
    const stored = this.#once('codes', () => this.#constant(`Q${bits}`, codes));
    return scales.initializer === undefined
      ? this.#once('held', () => this.#add('Identity', [stored], 'codes'))
      : stored;
  }

  /** The scales [V, blocks] in the element type of the place that reads them. */
  scales(dtype: DType): Value {
    if (dtype !== 'float32' && dtype !== 'float16') {
      fail(
        'unsupported-target',
        this.#target.name,
        `MatMulNBits and GatherBlockQuantized do not support ${dtype} on every processor: use a recipe with "compute": "float32"`,
      );
    }
    const { scales, supers } = this.#target.table;
    return this.#once(dtype, () => {
      if (supers !== undefined) return this.#decoded(scales, supers, dtype);
      const stored = this.#once('scales', () => this.#constant('scales', scales));
      return scales.dtype === dtype ? stored : this.#cast(stored, dtype, 'scales');
    });
  }

  /** code * super in float32, which holds the product exactly. */
  #decoded(codes: Tensor, supers: Tensor, dtype: 'float32' | 'float16'): Value {
    const scales = this.#once('decoded', () => {
      const factors = [
        this.#cast(this.#constant('scales', codes), 'float32', 'scales'),
        this.#cast(this.#constant('scales_super', supers), 'float32', 'scales_super'),
      ];
      const [rows = 0, blocks = 0] = this.#target.table.codes.shape;
      const shape = this.#constant('scales_shape', int64s([rows, blocks]));
      return this.#add('Reshape', [this.#add('Mul', factors, 'scales'), shape], 'scales');
    });
    return dtype === 'float32' ? scales : this.#cast(scales, dtype, 'scales_half');
  }

  #constant(label: string, tensor: Tensor): Value {
    return this.#rw.initializer(this.#graph, `${this.#target.name}_${label}`, tensor);
  }

  #cast(value: Value, to: DType, label: string): Value {
    return this.#add('Cast', [value], label, { to: int(DTYPES[to].onnx) });
  }

  #add(op: string, inputs: readonly Value[], label: string, attributes: NewNode['attributes'] = {}): Value {
    const name = `${this.#target.name}/${label}/${op}`;
    return this.#rw.insert(this.#anchor(), { op, inputs, attributes, name });
  }

  /** The first node that is not one of ours, so that ours stay in the order they were made in. */
  #anchor(): Node | Graph {
    const own = `${this.#target.name}/`;
    return this.#graph.nodes.find(({ name }) => !name.startsWith(own)) ?? this.#graph;
  }

  #once(key: string, make: () => Value): Value {
    const value = this.#made.get(key) ?? make();
    this.#made.set(key, value);
    return value;
  }
}

function gather(rw: Rewriter, node: Node, parts: Parts, { name, table, lookup }: TableTarget): void {
  const [, indices] = node.inputs;
  const dtype = elementTypeOf(node.outputs[0] as Value) ?? 'float32';
  if (lookup === 'standard') {
    const read = { node, indices: indices as Value, rows: parts.rows(), scales: parts.scales(dtype), table, name };
    standardLookup(rw, { ...read, dtype: dtype === 'float16' ? dtype : 'float32' });
    return;
  }
  rw.replaceNode(node, {
    op: 'GatherBlockQuantized',
    domain: MICROSOFT,
    inputs: [parts.rows(), indices, parts.scales(dtype), ...parts.zeroPoints],
    attributes: { gather_axis: int(0), quantize_axis: int(1), block_size: int(table.block), bits: int(table.bits) },
    name: `${node.name || name}_Q${table.bits}`,
  });
}

/** Y = alpha * (X . W) + bias; the last node makes the output of the old one. */
function multiply(rw: Rewriter, site: Site, parts: Parts, target: TableTarget): void {
  const { name, table, accuracyLevel } = target;
  const { k, n } = target.head as Projection;
  const { node, dtype, alpha, bias } = site;
  const base = `${node.name || name}_Q${table.bits}`;
  const scales = parts.scales(dtype);
  const input = dtype === 'float16' ? held(rw, site, k, base) : site.input;
  const steps: Omit<NewNode, 'types'>[] = [
    {
      op: 'MatMulNBits',
      domain: MICROSOFT,
      inputs: [input, parts.codes(scales), scales, ...parts.zeroPoints],
      attributes: {
        K: int(k),
        N: int(n),
        bits: int(table.bits),
        block_size: int(table.block),
        accuracy_level: int(accuracyLevel),
      },
      name: base,
    },
  ];
  if (alpha !== 1) {
    const factor = rw.initializer(rw.model.graph, `${base}/alpha`, scalar(alpha, dtype));
    steps.push({ op: 'Mul', inputs: [factor], name: `${base}/Mul` });
  }
  if (bias !== undefined) steps.push({ op: 'Add', inputs: [bias], name: `${base}/Add` });
  const last = steps.pop() as Omit<NewNode, 'types'>;
  const before = steps.reduce<Value | undefined>(
    (value, step) => rw.insert(node, { ...step, inputs: value === undefined ? step.inputs : [value, ...step.inputs] }),
    undefined,
  );
  rw.replaceNode(node, before === undefined ? last : { ...last, inputs: [before, ...last.inputs] });
}

/** X behind a Reshape to its own shape; why, says `Expander` in `src/emit/expand.ts`. */
function held(rw: Rewriter, { node, input }: Site, k: number, base: string): Value {
  const rank = input.type?.shape?.length;
  const shape =
    rank === undefined
      ? rw.insert(node, { op: 'Shape', inputs: [input], name: `${base}/input/Shape` })
      : rw.initializer(rw.model.graph, `${base}/input/shape`, int64s([...Array<number>(rank - 1).fill(0), k]));
  return rw.insert(node, { op: 'Reshape', inputs: [input, shape], name: `${base}/input/Reshape` });
}

const scalar = (value: number, dtype: DType): Tensor =>
  dtype === 'float16' ? tensorOf('float16', [], Uint16Array.of(float16Bits(value))) : float32Scalar(value);
