/** Placeholders to nodes that compute the product: multiply, add the block-sum term, and put alpha, bias and type back. */
import { int } from '../onnx/ir/attribute.js';
import { DTYPES, type DType } from '../onnx/ir/dtype.js';
import type { Graph, Node, Value } from '../onnx/ir/graph.js';
import { type ProjectionPlace, placeBlocks } from '../quant/layout.js';
import type { Emitter, Step } from './emitter.js';
import { RoutedRows } from './routed.js';
import { type Placeholder, siteMetadata } from './sites.js';
import { reduceSumLast, type TableValues } from './tables.js';

/** The element type in which a product runs; MatMulNBits has no bfloat16 or float64 kernel on a CPU. */
export type ProductType = 'float32' | 'float16';

/** The element type in which a site is computed. */
export const productType = ({ dtype }: Placeholder): ProductType => (dtype === 'float16' ? 'float16' : 'float32');

/** The multiplication X · Ŵ of one place, without the offset term. The anchor is the placeholder. */
export type Multiply = (site: Placeholder, input: Value, dtype: ProductType) => Step;

/** How one projection, or a part of its rows, is computed, the same for all of its sites. */
export interface Expansion {
  readonly place: ProjectionPlace;
  readonly table: TableValues;
  readonly multiply: Multiply;
}

export class Expander {
  readonly #emitter: Emitter;
  readonly #routed: RoutedRows;
  readonly #sums: Map<Graph, Map<Value, Map<string, Value>>> = new Map();

  constructor(emitter: Emitter) {
    this.#emitter = emitter;
    this.#routed = new RoutedRows(emitter.rw.model);
  }

  /** Replaces one placeholder by its parts side by side. The value it made keeps its name and users. */
  expand(site: Placeholder, parts: readonly Expansion[]): void {
    const [{ place, table }] = parts as readonly [Expansion];
    const dtype = productType(site);
    const input = site.dtype === dtype ? this.#held(site, place) : this.#cast(site, site.input, dtype, 'input');
    const name = site.node.name;
    const [first, ...steps] = this.#products(site, parts, input, dtype);
    if (site.alpha !== 1) {
      const alpha = this.#cast(site, this.#emitter.float(site.alpha), dtype, 'alpha');
      steps.push((value) => ({ op: 'Mul', inputs: [value, alpha], name: `${name}/alpha/Mul` }));
    }
    if (site.dtype !== dtype) {
      const attributes = { to: int(DTYPES[site.dtype].onnx) };
      steps.push((value) => ({ op: 'Cast', inputs: [value], attributes, name: `${name}/output/Cast` }));
    }
    if (table.bias !== undefined) {
      const learned = this.#cast(site, table.bias, site.dtype, 'learned_bias');
      steps.push((value) => ({ op: 'Add', inputs: [value, learned], name: `${name}/learned_bias/Add` }));
    }
    const { bias } = site;
    if (bias !== undefined) steps.push((value) => ({ op: 'Add', inputs: [value, bias], name: `${name}/bias/Add` }));
    this.#finish(site, first, steps);
  }

  /** The products of all parts with their offsets: the steps of the only one, or a Concat of several. */
  #products(
    site: Placeholder,
    parts: readonly Expansion[],
    input: Value,
    dtype: ProductType,
  ): [Step, ...((value: Value) => Step)[]] {
    const name = site.node.name;
    const each = parts.map(({ place, table, multiply }): [Step, ...((value: Value) => Step)[]] => {
      const product = multiply(site, input, dtype);
      if (table.offset === undefined) return [product];
      const side = this.#side(site, place, table.offset, dtype);
      return [product, (value) => ({ op: 'Add', inputs: [value, side], name: `${name}/offset/Add` })];
    });
    const [only, ...others] = each;
    if (only === undefined) throw new Error(`${site.id} has no parts`);
    if (others.length === 0) return only;
    const inputs = each.map(([first, ...rest]) =>
      rest.reduce(
        (value, next) => this.#emitter.add(site.node, site.id, next(value)),
        this.#emitter.add(site.node, site.id, first),
      ),
    );
    return [{ op: 'Concat', inputs, attributes: { axis: int(-1) }, name: `${name}/Concat` }];
  }

  /**
   * X behind a Reshape to its own shape, in float16. ONNX Runtime turns a float16 operator whose neighbours all lack a kernel into
   * float32, and casts its scales at run time then, but at the levels basic and extended packs the codes before (1.24 to 1.32:
   * KL 8 to 10). Reshape has a kernel for every type, costs nothing, and no optimization removes it.
   */
  #held(site: Placeholder, { k }: ProjectionPlace): Value {
    if (site.dtype !== 'float16') return site.input;
    const { node, input, id } = site;
    const name = `${node.name}/input`;
    return this.#emitter.add(node, id, {
      op: 'Reshape',
      inputs: [input, this.#blockedShape(node, input, input, [k], name)],
      name: `${name}/Reshape`,
    });
  }

  #finish(site: Placeholder, first: Step, rest: readonly ((value: Value) => Step)[]): void {
    let step = first;
    for (const next of rest) step = next(this.#emitter.add(site.node, site.id, step));
    this.#emitter.rw.replaceNode(site.node, { ...step, metadata: siteMetadata(site) });
  }

  /** blockSum(X) · offset in float32: a sum of many float16 values would lose what the offsets are for. */
  #side(site: Placeholder, place: ProjectionPlace, offset: Value, dtype: ProductType): Value {
    const sums = this.#blockSums(site, place);
    const name = `${site.node.name}/offset/MatMul`;
    const side = this.#emitter.add(site.node, site.id, { op: 'MatMul', inputs: [sums, offset], name });
    return dtype === 'float32' ? side : this.#cast(site, side, dtype, 'offset');
  }

  /** Sums of X over each block, float32 [..., columns]; projections with the same input share them. */
  #blockSums(site: Placeholder, place: ProjectionPlace): Value {
    const graph = site.node.graph;
    const ofGraph = this.#sums.get(graph) ?? new Map<Value, Map<string, Value>>();
    const ofInput = ofGraph.get(site.input) ?? new Map<string, Value>();
    const key = `${place.columns}/${place.block}`;
    const known = ofInput.get(key) ?? this.#makeSums(site, place);
    this.#sums.set(graph, ofGraph.set(site.input, ofInput.set(key, known)));
    return known;
  }

  #makeSums(site: Placeholder, place: ProjectionPlace): Value {
    const anchor = site.node;
    const name = `${site.input.name}/blocks`;
    const x = site.dtype === 'float32' ? site.input : this.#cast(site, site.input, 'float32', 'blocks', '');
    const { count, block } = placeBlocks(place);
    const isRouted = this.#routed.has(site.input);
    if (place.columns === 1 && !isRouted) return this.#reduce(anchor, x, name, true);
    if (isRouted || count * block !== place.k) {
      const inputs = [x, this.#indicator(place)];
      return this.#emitter.add(anchor, '', { op: 'MatMul', inputs, name: `${name}/MatMul` });
    }
    const inputs = [x, this.#blockedShape(anchor, site.input, x, [count, block], name)];
    const blocked = this.#emitter.add(anchor, '', { op: 'Reshape', inputs, name: `${name}/Reshape` });
    return this.#reduce(anchor, blocked, name, false);
  }

  #reduce(anchor: Node, value: Value, name: string, keep: boolean): Value {
    const { inputs, attributes } = reduceSumLast(this.#emitter, keep);
    return this.#emitter.add(anchor, '', {
      op: 'ReduceSum',
      inputs: [value, ...inputs],
      attributes,
      name: `${name}/ReduceSum`,
    });
  }

  /** [..., K] seen as [..., blocks, block]: copied dimensions when the rank is known, else read from X. */
  #blockedShape(anchor: Node, declared: Value, x: Value, tail: readonly number[], name: string): Value {
    const rank = declared.type?.shape?.length;
    if (rank !== undefined) return this.#emitter.int64s([...Array<number>(rank - 1).fill(0), ...tail]);
    const shape = this.#emitter.add(anchor, '', { op: 'Shape', inputs: [x], name: `${name}/Shape` });
    const lead = this.#emitter.slice(anchor, '', shape, 0, -1, `${name}/Slice`);
    const inputs = [lead, this.#emitter.int64s(tail)];
    return this.#emitter.add(anchor, '', {
      op: 'Concat',
      inputs,
      attributes: { axis: int(0) },
      name: `${name}/Concat`,
    });
  }

  /** For a ragged K, or rows there may be none of: a matrix [K, blocks] of ones where column k belongs to block b. */
  #indicator(place: ProjectionPlace): Value {
    const { columns } = place;
    const { count, block } = columns === 1 ? { count: 1, block: place.k } : placeBlocks(place);
    const values = (): Float32Array => {
      const matrix = new Float32Array(place.k * count);
      for (let k = 0; k < place.k; k++) matrix[k * count + Math.floor(k / block)] = 1;
      return matrix;
    };
    return this.#emitter.floats(`blocks_${place.k}_${block}`, values, [place.k, count]);
  }

  #cast(site: Placeholder, value: Value, to: DType, label: string, id: string = site.id): Value {
    if (value.initializer?.dtype === to) return value;
    return this.#emitter.cast(site.node, id, value, to, `${site.node.name}/${label}/Cast`);
  }
}
