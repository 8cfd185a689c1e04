/**
 * Products as placeholders. A float model and a graph of a nested set both turn into the same template, in which every
 * projection is one node `matquant::Projection(X, bias?)`, and every look-up in a nested token table one node
 * `matquant::Rows(ids)`; passes fill the template with whatever computes them.
 */
import { elementTypeOf } from '../analysis/element-types.js';
import type { Embedding, Projection, Site } from '../analysis/projection.js';
import { fail } from '../diagnostics.js';
import { float, int, string } from '../onnx/ir/attribute.js';
import type { DType } from '../onnx/ir/dtype.js';
import {
  floatAttribute,
  type Model,
  type Node,
  nodesOf,
  placeOf,
  stringAttribute,
  type Value,
} from '../onnx/ir/graph.js';
import type { Rewriter } from '../onnx/rewrite/rewriter.js';

/** Domain of placeholders, which no model that is written imports. */
export const PLACEHOLDER_DOMAIN = 'matquant';
const PRODUCT = 'Projection';
const ROWS = 'Rows';

/** Metadata key of every node that an expanded projection is made of: the projection's id. */
export const PROJECTION_KEY = 'matquant.projection';
/** Metadata key of the node that makes Y: how to get back to the placeholder. */
const SITE_KEY = 'matquant.site';

/** A placeholder, read. Y is the one output of `node`. */
export interface Placeholder {
  readonly kind: 'product' | 'rows';
  readonly node: Node;
  readonly id: string;
  /** X, or the ids of rows. */
  readonly input: Value;
  readonly bias: Value | undefined;
  readonly alpha: number;
  /** Element type of X and Y; of rows, of Y alone. */
  readonly dtype: DType;
}

/** A projection under the id that its codes have. */
export type Abstracted = Pick<Projection, 'id' | 'sites'>;

/**
 * Puts placeholders in place of all sites of the projections, and drops the float weights nobody reads any more. With `columns`
 * output i is column columns[i] of what the placeholder stands for.
 */
export function abstractProjections(rw: Rewriter, projections: readonly Abstracted[], columns?: Value): void {
  for (const projection of projections) {
    for (const site of projection.sites) abstractSite(rw, projection, site, columns);
  }
}

function abstractSite(rw: Rewriter, projection: Abstracted, site: Site, columns: Value | undefined): void {
  const before = site.node.inputs.filter((value) => value !== undefined);
  const placeholder = {
    op: PRODUCT,
    domain: PLACEHOLDER_DOMAIN,
    inputs: site.bias === undefined ? [site.input] : [site.input, site.bias],
    attributes: { id: string(projection.id), alpha: float(site.alpha), dtype: string(site.dtype) },
    name: placeOf(site.node),
  };
  if (columns === undefined) rw.replaceNode(site.node, placeholder);
  else {
    const inputs = [rw.insert(site.node, placeholder), columns];
    rw.replaceNode(site.node, { op: 'Gather', inputs, attributes: { axis: int(-1) }, name: `${placeholder.name}/ids` });
  }
  for (const value of new Set(before)) rw.dropIfUnused(value);
}

/**
 * Puts placeholders in place of all look-ups of an embedding, and drops the float table nobody reads any more. With `rows` id i is
 * row rows[i] of what the placeholder stands for.
 */
export function abstractRows(
  rw: Rewriter,
  id: string,
  { nodes, weight }: Pick<Embedding, 'nodes' | 'weight'>,
  rows?: Value,
): void {
  for (const node of nodes) {
    const [table, ids] = node.inputs;
    const dtype = elementTypeOf(node.outputs[0] as Value) ?? weight.tensor.dtype;
    const moved = rows && rw.insert(node, { op: 'Gather', inputs: [rows, ids], name: `${placeOf(node)}/rows` });
    rw.replaceNode(node, {
      op: ROWS,
      domain: PLACEHOLDER_DOMAIN,
      inputs: [moved ?? ids],
      attributes: { id: string(id), dtype: string(dtype) },
      name: placeOf(node),
    });
    if (table !== undefined) rw.dropIfUnused(table);
  }
}

/** The placeholders of a template in graph order, those of nested graphs where their owner stands. */
export function placeholdersOf(model: Model): readonly Placeholder[] {
  return [...nodesOf(model.graph)]
    .filter(({ op, domain }) => domain === PLACEHOLDER_DOMAIN && (op === PRODUCT || op === ROWS))
    .map(readPlaceholder);
}

function readPlaceholder(node: Node): Placeholder {
  const [input, bias] = node.inputs;
  if (input === undefined) throw new Error(`placeholder ${node.name} has no input`);
  const dtype = stringAttribute(node, 'dtype', 'float32') as DType;
  const kind = node.op === ROWS ? 'rows' : 'product';
  return {
    kind,
    node,
    id: stringAttribute(node, 'id', ''),
    input,
    bias,
    alpha: floatAttribute(node, 'alpha', 1),
    dtype,
  };
}

/** What the last node of an expanded projection carries, so that a graph of the set can be filled anew. */
export function siteMetadata(site: Placeholder): ReadonlyMap<string, string> {
  const { alpha, dtype, kind } = site;
  const names = { name: site.node.name, input: site.input.name, ...(site.bias ? { bias: site.bias.name } : {}) };
  return new Map([
    [PROJECTION_KEY, site.id],
    [SITE_KEY, JSON.stringify(kind === 'rows' ? { ...names, kind, dtype } : { ...names, alpha, dtype })],
  ]);
}

/** Turns the expanded projections of a graph of a nested set back into placeholders. Returns how many there were. */
export function collapseProjections(rw: Rewriter): number {
  const last = [...nodesOf(rw.model.graph)].filter((node) => node.metadata.has(SITE_KEY));
  for (const node of last) collapse(rw, node);
  return last.length;
}

interface SiteNote {
  readonly name: string;
  readonly input: string;
  readonly bias?: string;
  /** Of products. */
  readonly alpha?: number;
  readonly kind?: 'rows';
  readonly dtype: string;
}

function collapse(rw: Rewriter, last: Node): void {
  const id = last.metadata.get(PROJECTION_KEY) ?? '';
  const note = JSON.parse(last.metadata.get(SITE_KEY) ?? '{}') as SiteNote;
  const input = findUpstream(last, note.input, id);
  const bias = note.bias === undefined ? [] : [findUpstream(last, note.bias, id)];
  const before = last.inputs.filter((value) => value !== undefined);
  const alpha = note.alpha === undefined ? {} : { alpha: float(note.alpha) };
  rw.replaceNode(last, {
    op: note.kind === 'rows' ? ROWS : PRODUCT,
    domain: PLACEHOLDER_DOMAIN,
    inputs: [input, ...bias],
    attributes: { id: string(id), ...alpha, dtype: string(note.dtype) },
    name: note.name,
  });
  for (const value of new Set(before)) rw.dropIfUnused(value);
}

/** The value of this name that the nodes of projection `id` above `last` read. */
function findUpstream(last: Node, name: string, id: string): Value {
  const seen = new Set<Node>();
  const open = [last];
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    for (const value of node.inputs) {
      if (value?.name === name) return value;
      const maker = value?.producer;
      if (maker === undefined || seen.has(maker) || maker.metadata.get(PROJECTION_KEY) !== id) continue;
      seen.add(maker);
      open.push(maker);
    }
  }
  return fail('not-a-set', placeOf(last), `the graph was changed: projection ${id} no longer reads ${name}`);
}
