/**
 * Attention projections by structure: what the score product and the value product read, or the input slots of a fused operator.
 * Norms, rotary embedding, caches, repeated heads and masks lie between and are walked through without being named.
 */
import { type Model, type Node, nodesOf, type Value } from '../onnx/ir/graph.js';
import type { Flow } from './flow.js';
import { isCarrier, isElementwise, isMover, keyOf, readsShape } from './operators.js';
import type { Product } from './products.js';

/** The projections around one attention; each is undefined where it cannot be told for certain. */
export interface AttentionBlock {
  /** The softmax or the fused operator. */
  readonly core: Node;
  readonly q: Product | undefined;
  /** Gives the values too, where `v` is undefined and no product of their own makes them. */
  readonly k: Product | undefined;
  readonly v: Product | undefined;
  /** One product that holds all three. */
  readonly qkv: Product | undefined;
  readonly o: Product | undefined;
}

/** What an attention reads and makes, before any projection is looked for. */
interface Operands {
  readonly q: Value;
  readonly k: Value | undefined;
  readonly v: Value | undefined;
  readonly context: Value;
}

/** Fused operators take query, key and value in slots 0, 1 and 2; key and value are absent when the query is packed. */
const FUSED: ReadonlySet<string> = new Set([
  'Attention',
  'com.microsoft::GroupQueryAttention',
  'com.microsoft::MultiHeadAttention',
  'com.microsoft::DecoderMaskedMultiHeadAttention',
  'com.microsoft::SparseAttention',
  'com.microsoft::PagedAttention',
]);

const MATMULS: ReadonlySet<string> = new Set(['MatMul', 'com.microsoft::FusedMatMul', 'Einsum']);

/** Every attention of the model, in graph order. */
export function findAttention(model: Model, flow: Flow, adapters: ReadonlySet<Product>): readonly AttentionBlock[] {
  const blocks: AttentionBlock[] = [];
  for (const node of nodesOf(model.graph)) {
    const operands = FUSED.has(keyOf(node)) ? fusedOperands(node) : decomposedOperands(flow, node);
    if (operands === undefined) continue;
    const block = blockOf(flow, adapters, node, operands);
    if (block.q ?? block.k ?? block.v ?? block.qkv ?? block.o) blocks.push(block);
  }
  return blocks;
}

function fusedOperands(node: Node): Operands | undefined {
  const [q, k, v] = node.inputs;
  const context = node.outputs[0];
  return q === undefined || context === undefined ? undefined : { q, k, v, context };
}

/** softmax(mask(q . k)) . v: the scores lie before the softmax, the value product after it. */
function decomposedOperands(flow: Flow, node: Node): Operands | undefined {
  if (node.op !== 'Softmax') return undefined;
  const scores = matmulBehind(flow, node.inputs[0]);
  const mixing = scores === undefined ? undefined : matmulAhead(flow, node.outputs[0]);
  const [q, k] = scores?.inputs ?? [];
  const [v, context] = [mixing?.node.inputs[mixing.slot === 0 ? 1 : 0], mixing?.node.outputs[0]];
  return q === undefined || k === undefined || v === undefined || context === undefined
    ? undefined
    : { q, k, v, context };
}

const isInnerProduct = (flow: Flow, node: Node): boolean => MATMULS.has(keyOf(node)) && !flow.productAt.has(node);

/** The one product of two activations behind a value, through scaling, soft caps and masks. */
function matmulBehind(flow: Flow, value: Value | undefined): Node | undefined {
  const found = new Set<Node>();
  walk(value === undefined ? [] : [value], (each) => {
    const node = each.producer;
    if (node === undefined || flow.originOf(each).kind !== 'opaque') return [];
    if (isInnerProduct(flow, node)) found.add(node);
    else if (isElementwise(node) || isCarrier(node)) return node.inputs.filter((input) => input !== undefined);
    return [];
  });
  const [only] = found;
  return found.size === 1 ? only : undefined;
}

/** The product of two activations that reads a value, through casts and guards against empty rows. */
function matmulAhead(flow: Flow, value: Value | undefined): { node: Node; slot: number } | undefined {
  let found: { node: Node; slot: number } | undefined;
  walk(value === undefined ? [] : [value], (each) =>
    [...each.uses].flatMap(({ node, slot }) => {
      if (isInnerProduct(flow, node)) found ??= { node, slot };
      return isElementwise(node) || isCarrier(node) ? node.outputs.filter((output) => output !== undefined) : [];
    }),
  );
  return found;
}

/** Visits every value that `next` leads to, once. */
function walk(start: readonly Value[], next: (value: Value) => readonly Value[]): void {
  const seen = new Set<Value>(start);
  for (const value of seen) for (const each of next(value)) seen.add(each);
}

function blockOf(flow: Flow, adapters: ReadonlySet<Product>, core: Node, operands: Operands): AttentionBlock {
  const single = (value: Value | undefined): Product | undefined => only(productsBehind(flow, value), adapters);
  const [q, k, v] = [single(operands.q), single(operands.k), single(operands.v)];
  const o = only(productsAhead(flow, operands.context), adapters);
  const isPacked = q !== undefined && ((q === k && q === v) || (operands.k === undefined && operands.v === undefined));
  if (isPacked) return { core, q: undefined, k: undefined, v: undefined, qkv: q, o };
  // Global layers of Gemma 4 read their keys as values.
  const keysAreValues = k !== undefined && k === v && q !== k;
  const distinct = keysAreValues || new Set([q, k, v]).size === 3;
  return {
    core,
    q: distinct ? q : undefined,
    k: distinct ? k : undefined,
    v: distinct && !keysAreValues ? v : undefined,
    qkv: undefined,
    o,
  };
}

function only(products: ReadonlySet<Product>, adapters: ReadonlySet<Product>): Product | undefined {
  const own = [...products].filter((product) => !adapters.has(product));
  return own.length === 1 ? own[0] : undefined;
}

/** The products that an operand is made of: everything upstream, not crossing a product and not through shapes. */
function productsBehind(flow: Flow, value: Value | undefined): ReadonlySet<Product> {
  const found = new Set<Product>();
  walk(value === undefined ? [] : [value], (each) => {
    const node = each.producer;
    if (node === undefined || readsShape(node)) return [];
    const product = flow.productAt.get(node);
    if (product === undefined) return node.inputs.filter((input) => input !== undefined);
    found.add(product);
    return [];
  });
  return found;
}

/** The products that read the context, through the merging of heads, casts and an output gate. */
function productsAhead(flow: Flow, context: Value): ReadonlySet<Product> {
  const found = new Set<Product>();
  walk([context], (each) =>
    [...each.uses].flatMap(({ node, slot }) => {
      const product = flow.productAt.get(node);
      if (product !== undefined) found.add(product);
      const passes = slot === 0 ? isCarrier(node) || isMover(node) || node.op === 'DynamicQuantizeLinear' : false;
      if (product !== undefined || !(passes || node.op === 'Mul' || node.op === 'Clip')) return [];
      return node.outputs.slice(0, 1).filter((output) => output !== undefined);
    }),
  );
  return found;
}
