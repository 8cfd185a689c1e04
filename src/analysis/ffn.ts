/**
 * Gated feed-forward blocks: down( f(gate(x)) * up(x) ), Shazeer, "GLU Variants Improve Transformer", 2020.
 * The role is matched, not the chain: a product is `down` when its input is an elementwise function of exactly two other products
 * that read one value, joined by a Mul. The one that passes an activation is `gate`. This holds for every exporter's spelling of
 * SiLU and GELU, either operand order, either association, and for what Gemma 3n puts in between. The two may be halves of one
 * product, as in weights that hold gate and up side by side.
 */
import type { Node, Value } from '../onnx/ir/graph.js';
import { activationOf } from './activation.js';
import type { Flow, Origin, Path } from './flow.js';
import { isCarrier } from './operators.js';
import { arePair } from './parts.js';
import type { Product } from './products.js';

export interface FfnBlock {
  /** Products of their own, or halves of `merged`. */
  readonly gate: Product;
  readonly up: Product;
  readonly down: Product;
  /** The product whose weight holds gate and up. */
  readonly merged: Product | undefined;
  readonly activation: string;
}

/** The blocks in graph order. A product belongs to one block at most per place: `down` decides. */
export function findBlocks(flow: Flow, adapters: ReadonlySet<Product>): readonly FfnBlock[] {
  return flow.products
    .filter((product) => !adapters.has(product))
    .map((down) => blockOf(flow, adapters, down))
    .filter((block) => block !== undefined);
}

function blockOf(flow: Flow, adapters: ReadonlySet<Product>, down: Product): FfnBlock | undefined {
  const origin = flow.originOf(down.input);
  const roots = rootsOf(origin, adapters);
  const [first, second] = roots;
  if (first === undefined || second === undefined || roots.length !== 2) return undefined;
  const [a, b] = [first[0], second[0]];
  if (sourceOf(a.input) !== sourceOf(b.input) || !fits(a, b, down)) return undefined;
  if ((a.part ?? b.part) !== undefined && !arePair(a, b)) return undefined;
  const between = nodesBetween(flow, down.input);
  if (!isJoinedByMul(flow, between, a, b)) return undefined;
  const [gate, path] = second[1].nonlinear && !first[1].nonlinear ? second : first;
  const own = between.filter((node) => !dependsOn(flow, node, gate === a ? b : a));
  return { gate, up: gate === a ? b : a, down, merged: a.part?.of, activation: activationOf(own, path.direct) };
}

function rootsOf(origin: Origin, adapters: ReadonlySet<Product>): readonly [Product, Path][] {
  if (origin.kind !== 'roots') return [];
  const own = [...origin.roots].filter(([product]) => !adapters.has(product.part?.of ?? product));
  return own.sort(([a], [b]) => a.position - b.position);
}

const agree = (a: number | undefined, b: number | undefined): boolean => a === undefined || b === undefined || a === b;

function fits(a: Product, b: Product, down: Product): boolean {
  return agree(a.n, b.n) && agree(a.n, down.k) && agree(a.k, b.k);
}

/** The value behind reshapes, casts and dynamic quantization: equal sources mean equal inputs. */
export function sourceOf(value: Value): Value {
  let source = value;
  for (let node = source.producer; node !== undefined; node = source.producer) {
    const input = node.inputs[0];
    if (input === undefined || !(isCarrier(node) || node.op === 'DynamicQuantizeLinear')) break;
    source = input;
  }
  return source;
}

/** The nodes from the products to `value`, products excluded. */
function nodesBetween(flow: Flow, value: Value): readonly Node[] {
  const found = new Set<Node>();
  const pending = [value];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const node = next.producer;
    if (node === undefined || found.has(node) || flow.productAt.has(node) || flow.originOf(next).kind !== 'roots')
      continue;
    found.add(node);
    pending.push(...node.inputs.filter((input) => input !== undefined));
  }
  return [...found].sort((a, b) => flow.positionOf(a) - flow.positionOf(b));
}

function dependsOn(flow: Flow, node: Node, product: Product): boolean {
  return node.outputs.some((output) => hasRoot(flow.originOf(output), product));
}

function hasRoot(origin: Origin, product: Product): boolean {
  return origin.kind === 'roots' && origin.roots.has(product);
}

/** True when every node where the two products first meet is a Mul; a sum of two products is no gate. */
function isJoinedByMul(flow: Flow, between: readonly Node[], a: Product, b: Product): boolean {
  const joins = between.filter(
    (node) =>
      node.outputs.some((output) => hasRoot(flow.originOf(output), a) && hasRoot(flow.originOf(output), b)) &&
      !node.inputs.some((input) => hasRoot(flow.originOf(input), a) && hasRoot(flow.originOf(input), b)),
  );
  return joins.length > 0 && joins.every((node) => node.op === 'Mul');
}

/**
 * Low-rank adapters beside a projection (LoRA): a narrow product whose output, without any activation, is the input of another
 * one that widens it again. Both halves are left alone, and the block around them is found as if they were not there.
 */
export function findAdapters(flow: Flow): ReadonlySet<Product> {
  const adapters = new Set<Product>();
  for (const wide of flow.products) {
    const origin = flow.originOf(wide.input);
    if (origin.kind !== 'roots' || origin.roots.size !== 1) continue;
    for (const [narrow, path] of origin.roots) {
      if (path.nonlinear || narrow.part || narrow.n === undefined || narrow.k === undefined || wide.n === undefined)
        continue;
      if (narrow.n < narrow.k && narrow.n < wide.n) adapters.add(narrow).add(wide);
    }
  }
  return adapters;
}
