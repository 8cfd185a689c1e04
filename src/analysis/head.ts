/** The language-model head, the token embedding, and whether one is the other. */
import { isOp, type Model, type Node, nodesOf, type Value } from '../onnx/ir/graph.js';
import type { Flow } from './flow.js';
import { isCarrier, isElementwise, isMover } from './operators.js';
import type { Product } from './products.js';
import type { Embedding, Weight } from './projection.js';
import { isTransposedCopy } from './transposed-copy.js';
import { type ResolvedWeight, resolveWeight } from './weights.js';

/**
 * The head of each graph: of the products that lead to a graph output without another product between (soft caps, casts and the
 * choice of positions may lie there), the widest one after the last block. Keys and values that go to the cache are taken before.
 */
export function findHeads(
  flow: Flow,
  isTaken: (product: Product) => boolean,
  lastBlock: (node: Node) => number,
): readonly Product[] {
  const heads = new Map<Node['graph'], Product>();
  for (const product of flow.products) {
    const { node } = product;
    if (isTaken(product) || product.position < lastBlock(node) || !leadsToOutput(flow, product)) continue;
    const best = heads.get(node.graph);
    if (best === undefined || (product.n ?? 0) > (best.n ?? 0)) heads.set(node.graph, product);
  }
  return [...heads.values()];
}

function leadsToOutput(flow: Flow, product: Product): boolean {
  const seen = new Set<Value>([product.output]);
  for (const value of seen) {
    if (value.isOutput) return true;
    const next = [...value.uses].flatMap(({ node }) => (passesOn(flow, node) ? node.outputs : []));
    for (const output of next) if (output !== undefined) seen.add(output);
  }
  return false;
}

function passesOn(flow: Flow, node: Node): boolean {
  return !flow.productAt.has(node) && (isElementwise(node) || isCarrier(node) || isMover(node));
}

/** A lookup in a constant table of rank 2, seen as [rows, columns]. */
interface Lookup {
  readonly nodes: Node[];
  readonly weight: ResolvedWeight;
  readonly rows: number;
  readonly columns: number;
}

/**
 * The token embedding: of the lookups by something that is fed, the one whose table is the head's, else of the head's size, else
 * as wide as the model. Rotary tables are looked up too, but by positions and with another width.
 */
export function findEmbedding(
  model: Model,
  flow: Flow,
  head: Product | undefined,
  hidden: number | undefined,
): Embedding | undefined {
  const lookups = [...lookupsOf(model, flow)].map((lookup) => ({ lookup, rank: rankOf(lookup, head, hidden) }));
  const [best] = lookups.filter(({ rank }) => rank > 0).sort((a, b) => b.rank - a.rank);
  if (best === undefined) return undefined;
  const { nodes, weight, rows, columns } = best.lookup;
  const asHead: Weight = { source: weight.source, tensor: weight.tensor, layout: weight.transposed ? 'KN' : 'NK' };
  return { nodes, weight: asHead, vocabulary: rows, hidden: columns, head: relationOf(asHead, head) };
}

/** Rows that a table of tokens has at least: smaller ones are cheap, and may mean something else. */
const FEWEST_ROWS = 64;

/** The other tables that are looked up by what the embedding is looked up by. */
export function findOtherTables(model: Model, flow: Flow, embedding: Embedding): readonly Embedding[] {
  const fed = new Set(embedding.nodes.flatMap(({ inputs }) => [...inputsBehind(inputs[1])]));
  return [...lookupsOf(model, flow)].flatMap(({ nodes, weight, rows, columns }) => {
    const isOther = weight.source !== embedding.weight.source && !weight.transposed && rows >= FEWEST_ROWS;
    const byTokens = nodes.every(({ inputs }) => [...inputsBehind(inputs[1])].some((value) => fed.has(value)));
    if (!isOther || !byTokens) return [];
    const asStored: Weight = { source: weight.source, tensor: weight.tensor, layout: 'NK' };
    return [{ nodes, weight: asStored, vocabulary: rows, hidden: columns, head: 'none' as const }];
  });
}

/** The graph inputs whose elements an index is made of; not those that only give its shape. */
function inputsBehind(index: Value | undefined): ReadonlySet<Value> {
  const seen = new Set<Value>(index === undefined ? [] : [index]);
  for (const value of seen) {
    const node = value.producer;
    const passes =
      node !== undefined && (isElementwise(node) || isCarrier(node) || isMover(node) || node.op === 'Where');
    for (const input of passes ? node.inputs : []) if (input !== undefined) seen.add(input);
  }
  return new Set([...seen].filter(({ isInput, initializer }) => isInput && initializer === undefined));
}

function lookupsOf(model: Model, flow: Flow): Iterable<Lookup> {
  const lookups = new Map<Value, Lookup>();
  for (const node of nodesOf(model.graph)) {
    const [table, index] = node.inputs;
    if (!isOp(node, 'Gather') || table === undefined || flow.originOf(index).kind !== 'opaque') continue;
    const weight = resolveWeight(table, model.irVersion);
    if ('code' in weight) continue;
    const [rows = 0, columns = 0] = weight.transposed ? weight.tensor.shape.toReversed() : weight.tensor.shape;
    const known = lookups.get(weight.source);
    if (known === undefined) lookups.set(weight.source, { nodes: [node], weight, rows, columns });
    else known.nodes.push(node);
  }
  return lookups.values();
}

function rankOf(lookup: Lookup, head: Product | undefined, hidden: number | undefined): number {
  if (head?.weight !== undefined && isSameStorage(lookup.weight, head.weight)) return 4;
  if (head !== undefined && lookup.rows === head.n && lookup.columns === head.k) return 3;
  return hidden === undefined || lookup.columns === hidden ? 1 : 0;
}

function isSameStorage(a: Pick<Weight, 'source' | 'tensor'>, b: Pick<Weight, 'source' | 'tensor'>): boolean {
  if (a.source === b.source) return true;
  return a.tensor.storage === b.tensor.storage && String(a.tensor.shape) === String(b.tensor.shape);
}

function relationOf(table: Weight, head: Product | undefined): Embedding['head'] {
  if (head === undefined) return 'none';
  if (head.weight === undefined) return 'untied';
  if (isSameStorage(table, head.weight)) return table.layout === head.weight.layout ? 'tied' : 'untied';
  return isTransposedCopy(table, head.weight) ? 'copy' : 'untied';
}
