/**
 * One walk over all nodes that answers two questions for every value: does it depend on the input of the model, and which
 * products is it an elementwise function of? The finder of gated blocks reads everything else off the answers.
 */
import { type Model, type Node, subgraphsOf, type Value } from '../onnx/ir/graph.js';
import { constantOf } from './constants.js';
import { isCarrier, isElementwise, isMover, isNonlinear, isReducer, readsShape } from './operators.js';
import { type Columns, columnsOf } from './parts.js';
import { operandsOf, type Product, productOf } from './products.js';
import { stackBehind } from './weights.js';

/** How a product's output reaches a value: as it is (up to linear steps), through an activation, or both (SiLU). */
export interface Path {
  readonly direct: boolean;
  readonly nonlinear: boolean;
}

/**
 * What a value is made of. `constant`: of constants alone. `shape`: of constants and shapes. `roots`: an elementwise function of
 * the outputs of these products and of nothing else that depends on the input. `opaque`: anything else.
 */
export type Origin =
  | { readonly kind: 'constant' | 'shape' | 'opaque' }
  | { readonly kind: 'roots'; readonly roots: ReadonlyMap<Product, Path> };

export interface Flow {
  readonly products: readonly Product[];
  readonly productAt: ReadonlyMap<Node, Product>;
  originOf(value: Value | undefined): Origin;
  /** Position of a node in the walk over all graphs. */
  positionOf(node: Node): number;
}

const CONSTANT: Origin = { kind: 'constant' };
const SHAPE: Origin = { kind: 'shape' };
const OPAQUE: Origin = { kind: 'opaque' };

/** A gated block joins two products, with low-rank adapters four; beyond this a value is no block. */
const MAX_ROOTS = 6;

/** Walks the model once, in topological order, outer graphs before the graphs nested in their nodes. */
export function analyseFlow(model: Model): Flow {
  const walk = new FlowWalk(model.irVersion);
  walk.visit(model.graph.nodes);
  return walk;
}

class FlowWalk implements Flow {
  readonly products: Product[] = [];
  readonly productAt: Map<Node, Product> = new Map();
  readonly #origins: Map<Value, Origin> = new Map();
  readonly #positions: Map<Node, number> = new Map();
  readonly #parts: Map<string, Product> = new Map();
  readonly #irVersion: number;

  constructor(irVersion: number) {
    this.#irVersion = irVersion;
  }

  originOf(value: Value | undefined): Origin {
    if (value === undefined || constantOf(value) !== undefined) return CONSTANT;
    return this.#origins.get(value) ?? OPAQUE;
  }

  positionOf(node: Node): number {
    return this.#positions.get(node) ?? -1;
  }

  visit(nodes: readonly Node[]): void {
    for (const node of nodes) {
      this.#positions.set(node, this.#positions.size);
      for (const inner of subgraphsOf(node)) this.visit(inner.nodes);
      node.outputs.forEach((output, slot) => {
        if (output !== undefined) this.#origins.set(output, this.#derive(node, slot));
      });
    }
  }

  #derive(node: Node, slot: number): Origin {
    const product = slot === 0 ? this.#product(node) : undefined;
    if (product !== undefined) {
      return { kind: 'roots', roots: new Map([[product, { direct: true, nonlinear: false }]]) };
    }
    if (subgraphsOf(node).length > 0) return OPAQUE;
    const origins = node.inputs.filter((input) => input !== undefined).map((input) => this.originOf(input));
    return mergePlain(node, origins) ?? this.#partOf(node, slot, origins) ?? mergeData(node, slot, origins);
  }

  /** Some columns of the products that a value is made of. */
  #partOf(node: Node, slot: number, [data]: readonly Origin[]): Origin | undefined {
    const output = node.outputs[slot];
    if (output === undefined || !isMover(node) || data?.kind !== 'roots') return undefined;
    const parts = new Map<Product, Path>();
    for (const [product, path] of data.roots) {
      const columns = product.n === undefined || product.part ? undefined : columnsOf(node, slot, product.n);
      if (columns === undefined) return undefined;
      parts.set(this.#part(product, columns, output), path);
    }
    return { kind: 'roots', roots: parts };
  }

  /** One object for the same columns of a product, so that it can be told again. */
  #part(of: Product, columns: Columns, output: Value): Product {
    const key = `${of.position} ${columns.start} ${columns.step} ${columns.count}`;
    const known = this.#parts.get(key);
    if (known !== undefined) return known;
    const part: Product = { ...of, n: columns.count, output, part: { of, columns } };
    this.#parts.set(key, part);
    return part;
  }

  /** A node is a product when its weight is made of constants, or taken out of one by routing, and its input is not. */
  #product(node: Node): Product | undefined {
    const operands = operandsOf(node, (value) => this.#isWeight(value));
    const input = operands && this.originOf(operands.input).kind;
    if (operands === undefined || input === 'constant' || input === 'shape') return undefined;
    const product = productOf(node, operands, this.positionOf(node), this.#irVersion);
    if (product === undefined) return undefined;
    this.products.push(product);
    this.productAt.set(node, product);
    return product;
  }

  #isWeight(value: Value): boolean {
    const { kind } = this.originOf(value);
    return kind === 'constant' || (kind === 'opaque' && (this.#isFed(value) || stackBehind(value) !== undefined));
  }

  /** A matrix that the caller feeds as a graph input is a weight too, if one that cannot be taken. */
  #isFed(operand: Value): boolean {
    const shape = operand.type?.shape;
    return operand.isInput && shape?.length === 2 && shape.every((dim) => typeof dim === 'number');
  }
}

/** The origin when no input depends on data: shapes absorb constants. */
function mergePlain(node: Node, origins: readonly Origin[]): Origin | undefined {
  if (readsShape(node)) return SHAPE;
  if (origins.every((origin) => origin.kind === 'constant')) return CONSTANT;
  return origins.every((origin) => origin.kind === 'constant' || origin.kind === 'shape') ? SHAPE : undefined;
}

/** The origin when some input does. Scale and zero point of a dynamically quantized activation count as shapes: they are no data. */
function mergeData(node: Node, slot: number, origins: readonly Origin[]): Origin {
  const data = origins[0] ?? OPAQUE;
  if (node.op === 'DynamicQuantizeLinear') return slot === 0 ? data : SHAPE;
  if (isCarrier(node)) return data;
  if (isReducer(node)) return bend(data);
  if (!isElementwise(node)) return OPAQUE;
  return isNonlinear(node) ? bend(merge(origins)) : merge(origins);
}

function merge(origins: readonly Origin[]): Origin {
  const roots = new Map<Product, Path>();
  for (const origin of origins) {
    if (origin.kind === 'opaque') return OPAQUE;
    if (origin.kind !== 'roots') continue;
    for (const [product, path] of origin.roots) {
      const before = roots.get(product) ?? { direct: false, nonlinear: false };
      roots.set(product, { direct: before.direct || path.direct, nonlinear: before.nonlinear || path.nonlinear });
    }
  }
  return roots.size > MAX_ROOTS ? OPAQUE : { kind: 'roots', roots };
}

/** After an activation nothing arrives directly any more. */
function bend(origin: Origin): Origin {
  if (origin.kind !== 'roots') return origin;
  return {
    kind: 'roots',
    roots: new Map([...origin.roots.keys()].map((product) => [product, { direct: false, nonlinear: true }])),
  };
}
