/**
 * The finder: reads a model and reports every affine projection with its role, and a reason for each product that is left alone.
 * Everything is found by structure; names are only repeated in the report.
 */
import type { Model, Node, Value } from '../onnx/ir/graph.js';
import { placeOf } from '../onnx/ir/graph.js';
import { type AttentionBlock, findAttention } from './attention.js';
import { constantOf } from './constants.js';
import { type FfnBlock, findAdapters, findBlocks, sourceOf } from './ffn.js';
import { analyseFlow, type Flow } from './flow.js';
import { findEmbedding, findHeads, findOtherTables } from './head.js';
import { isMover } from './operators.js';
import type { Product, ProductWeight } from './products.js';
import type { Embedding, ModelAnalysis, Projection, Refusal, Role, Site } from './projection.js';
import { placeReason } from './reasons.js';
import { readersOf } from './weights.js';

/** A product whose place in the model is known. */
interface Assignment {
  readonly product: Product;
  readonly role: Role;
  /** -1 for the head. */
  readonly layer: number;
}

/** Finds projections, head and embedding. Reads weights only to compare an embedding with a head of the same size. */
export function analyse(model: Model): ModelAnalysis {
  const flow = analyseFlow(model);
  const adapters = findAdapters(flow);
  const blocks = findBlocks(flow, adapters);
  const attention = findAttention(model, flow, adapters);
  const layers = numberLayers(blocks, attention, flow);
  const assignments = assignRoles(blocks, attention, layers);
  addHeads(assignments, flow, adapters, blocks);
  const head = [...assignments.values()].find(({ role }) => role === 'head')?.product;
  const embedding = findEmbedding(model, flow, head, blocks[0]?.gate.k ?? head?.k);
  return {
    ...report(flow, assignments, embedding),
    embedding,
    tables: embedding === undefined ? [] : findOtherTables(model, flow, embedding),
    layers: layers.count,
    activation: blocks[0]?.activation,
  };
}

/** Layer of each block and of each attention. */
interface Layers {
  readonly of: ReadonlyMap<FfnBlock | AttentionBlock, number>;
  readonly count: number;
}

/**
 * Layers are counted by feed-forward blocks in graph order; the branches of a merged decoder repeat the same weights and so the
 * same layers, and the experts of a layer read one value, of which routing chooses the rows. An attention belongs to the block of the same rank, or, where their numbers differ, to the next block after it.
 */
function numberLayers(blocks: readonly FfnBlock[], attention: readonly AttentionBlock[], flow: Flow): Layers {
  const byWeight = new Map<Value | Node, number>();
  const byInput = new Map<Value, number>();
  const of = new Map<FfnBlock | AttentionBlock, number>();
  let count = 0;
  for (const block of blocks) {
    const key = block.down.weight?.source ?? block.down.node;
    const input = rowsOf(block.gate.input);
    const layer = byWeight.get(key) ?? byInput.get(input) ?? count++;
    byWeight.set(key, layer);
    byInput.set(input, layer);
    of.set(block, layer);
  }
  for (const graph of new Set(attention.map(({ core }) => core.graph))) {
    const here = attention.filter(({ core }) => core.graph === graph);
    const own = blocks.filter(({ down }) => down.node.graph === graph);
    here.forEach((each, rank) => {
      const next =
        own.length === here.length ? own[rank] : own.find(({ down }) => down.position > flow.positionOf(each.core));
      of.set(each, (next === undefined ? undefined : of.get(next)) ?? (own.length === 0 ? rank : count));
    });
  }
  return { of, count: Math.max(count, 0, ...[...of.values()].map((layer) => layer + 1)) };
}

/** The value whose rows a product reads, behind look-ups, reshapes and casts. */
function rowsOf(value: Value): Value {
  let source = sourceOf(value);
  for (let node = source.producer; node !== undefined && isMover(node); node = source.producer) {
    const input = node.inputs[0];
    if (input === undefined || constantOf(input) !== undefined) break;
    source = sourceOf(input);
  }
  return source;
}

/** Roles by product. A product with two different roles keeps none: its weight means two things. */
function assignRoles(
  blocks: readonly FfnBlock[],
  attention: readonly AttentionBlock[],
  layers: Layers,
): Map<Product, Assignment> {
  const found = new Map<Product, Assignment>();
  const torn = new Set<Product>();
  const assign = (product: Product | undefined, role: Role, layer: number): void => {
    if (product === undefined) return;
    const before = found.get(product);
    if (before === undefined) found.set(product, { product, role, layer });
    else if (before.role !== role) torn.add(product);
  };
  for (const block of blocks) {
    const layer = layers.of.get(block) ?? 0;
    if (block.merged === undefined) for (const role of ['gate', 'up'] as const) assign(block[role], role, layer);
    else assign(block.merged, 'gate_up', layer);
    assign(block.down, 'down', layer);
  }
  for (const block of attention) {
    for (const role of ['q', 'k', 'v', 'qkv', 'o'] as const) assign(block[role], role, layers.of.get(block) ?? 0);
  }
  for (const product of torn) found.delete(product);
  return found;
}

function addHeads(
  found: Map<Product, Assignment>,
  flow: Flow,
  adapters: ReadonlySet<Product>,
  blocks: readonly FfnBlock[],
): void {
  const lastBlock = (node: Node): number =>
    Math.max(-1, ...blocks.filter(({ down }) => down.node.graph === node.graph).map(({ down }) => down.position));
  const heads = findHeads(flow, (product) => found.has(product) || adapters.has(product), lastBlock);
  for (const product of heads) found.set(product, { product, role: 'head', layer: -1 });
}

/** Turns assignments into projections, one per weight, and everything else into refusals. */
function report(
  flow: Flow,
  assignments: ReadonlyMap<Product, Assignment>,
  embedding: Embedding | undefined,
): Pick<ModelAnalysis, 'projections' | 'refusals'> {
  const refusals: Refusal[] = [];
  const bySource = new Map<Value, Assignment[]>();
  for (const product of flow.products) {
    const assignment = assignments.get(product);
    if (assignment === undefined || product.weight === undefined) refusals.push(refusalOf(product, assignment, flow));
    else bySource.set(product.weight.source, [...(bySource.get(product.weight.source) ?? []), assignment]);
  }
  const projections: Projection[] = [];
  const groups = new Groups();
  const ids = new Set<string>();
  for (const [source, members] of bySource) {
    const shared = sharedWith(source, members, embedding);
    if (shared !== undefined) refusals.push(...members.map((member) => sharedRefusal(member, shared)));
    else projections.push(projectionOf(members, groups, ids));
  }
  return { projections, refusals };
}

function refusalOf(product: Product, assignment: Assignment | undefined, flow: Flow): Refusal {
  const { node, problem, k, n } = product;
  const code = problem?.code ?? 'no-gated-ffn';
  const reason = problem?.reason ?? placeReason(product, flow);
  return { at: placeOf(node), code, reason, role: assignment?.role, layer: assignment?.layer, k, n };
}

/** Who else reads a weight and would keep it in float: a sentence, or undefined when all readers are taken together. */
function sharedWith(
  source: Value,
  members: readonly Assignment[],
  embedding: Embedding | undefined,
): string | undefined {
  const [first] = members;
  const other = members.find(
    ({ role, product }) => role !== first?.role || product.weight?.layout !== first?.product.weight?.layout,
  );
  if (other !== undefined) return `${source.name} also serves as ${other.role} at ${placeOf(other.product.node)}`;
  const own = new Set<Node>(members.map(({ product }) => product.node));
  if (first?.role === 'head') for (const node of embedding?.nodes ?? []) own.add(node);
  const reader = readersOf(source).find((node) => !own.has(node));
  return reader === undefined ? undefined : `${source.name} is also read by ${reader.op} ${placeOf(reader)}`;
}

function sharedRefusal({ product, role, layer }: Assignment, reason: string): Refusal {
  return { at: placeOf(product.node), code: 'weight-shared', reason, role, layer, k: product.k, n: product.n };
}

function projectionOf(members: readonly Assignment[], groups: Groups, ids: Set<string>): Projection {
  const [{ product, role, layer }] = members as [Assignment, ...Assignment[]];
  const sites = members.map((member) => siteOf(member.product));
  const { source, tensor, layout } = product.weight as ProductWeight;
  const place = layer < 0 ? '' : `layers.${layer}.`;
  let id = `${place}${role}`;
  for (let count = 2; ids.has(id); count++) id = `${place}${role}.${count}`;
  ids.add(id);
  const group = groups.nameOf(`${place}${INPUTS[role]}`, sites);
  return { id, layer, role, k: product.k ?? 0, n: product.n ?? 0, weight: { source, tensor, layout }, sites, group };
}

function siteOf({ node, input, output, alpha, bias, weight }: Product): Site {
  const { walk, dtype } = weight as ProductWeight;
  return { node, input, output, alpha, bias, walk, dtype };
}

/** What the input of each role is called. */
const INPUTS: Record<Role, string> = {
  gate: 'ffn-in',
  up: 'ffn-in',
  gate_up: 'ffn-in',
  down: 'down-in',
  q: 'attention-in',
  k: 'attention-in',
  v: 'attention-in',
  qkv: 'attention-in',
  o: 'o-in',
  head: 'head-in',
};

/** Names for sets of inputs: the same name exactly where every site reads the same value, up to reshapes and casts. */
class Groups {
  readonly #inputs: Map<string, readonly Value[]> = new Map();

  nameOf(hint: string, sites: readonly Site[]): string {
    const inputs = sites.map(({ input }) => sourceOf(input));
    for (let count = 1; ; count++) {
      const name = count === 1 ? hint : `${hint}.${count}`;
      const known = this.#inputs.get(name);
      if (known === undefined) this.#inputs.set(name, inputs);
      if (known === undefined || (known.length === inputs.length && known.every((value, at) => value === inputs[at])))
        return name;
    }
  }
}
