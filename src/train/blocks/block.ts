/**
 * The blocks that are trained: down( f(gate(x)) * up(x) ) of one layer, from the input that gate and up share to the output of
 * down (MatQuant eq. 5 with F the feed-forward block). The nodes in between are the model's own, whatever its exporter wrote.
 */
import { type Execution, inputsOf } from '../../analysis/execution.js';
import { FFN_ROLES, type Projection, type Role, type Site } from '../../analysis/projection.js';
import type { Node, Value } from '../../onnx/ir/graph.js';

export interface TrainBlock {
  /** `layers.3`. */
  readonly id: string;
  readonly layer: number;
  readonly gate: Projection;
  readonly up: Projection;
  readonly down: Projection;
  /** The values that gate and up read: one, or one each where the export reshapes twice. All hold the same numbers. */
  readonly inputs: readonly Value[];
  readonly output: Value;
  /** Where each projection is computed, with the values that really are. */
  readonly sites: ReadonlyMap<Projection, Site>;
  /** In a topological order. */
  readonly nodes: readonly Node[];
}

/** A layer whose block cannot be trained. */
export interface Untrainable {
  readonly layer: number;
  readonly reason: string;
}

export const projectionsOf = ({ gate, up, down }: TrainBlock): readonly Projection[] => [gate, up, down];

/** The blocks that are whole among `projections`, by layer, and why others are not trained. */
export function findTrainBlocks(
  execution: Execution,
  projections: readonly Projection[],
): { readonly blocks: readonly TrainBlock[]; readonly left: readonly Untrainable[] } {
  const layers = new Map<number, Map<Role, Projection>>();
  const several = new Set<number>();
  for (const projection of projections.filter(({ role }) => FFN_ROLES.has(role))) {
    const layer = layers.get(projection.layer) ?? new Map<Role, Projection>();
    if (layer.has(projection.role)) several.add(projection.layer);
    layers.set(projection.layer, layer.set(projection.role, projection));
  }
  const found = [...layers]
    .sort(([a], [b]) => a - b)
    .map(([layer, roles]) =>
      several.has(layer)
        ? { layer, reason: 'it has several blocks, such as experts' }
        : blockOf(execution, layer, roles),
    );
  return {
    blocks: found.filter((each) => 'nodes' in each),
    left: found.filter((each) => 'reason' in each),
  };
}

function blockOf(execution: Execution, layer: number, roles: ReadonlyMap<Role, Projection>): TrainBlock | Untrainable {
  const [gate, up, down] = [roles.get('gate'), roles.get('up'), roles.get('down')];
  if (roles.has('gate_up')) return { layer, reason: 'gate and up lie in one weight' };
  if (gate === undefined || up === undefined || down === undefined)
    return { layer, reason: 'a projection of the block stays float' };
  const sites = [gate, up, down].map((projection) => siteOf(execution, projection));
  if (sites.some((site) => site === undefined)) return { layer, reason: 'the block is inside a nested graph' };
  if (sites.some((site) => site?.dtype !== 'float32'))
    return { layer, reason: 'only blocks that compute in float32 are trained' };
  const [first, second, last] = sites as [Site, Site, Site];
  const inputs = [...new Set([first.input, second.input].map(execution.resolve))];
  const nodes = nodesBetween(execution, new Set(inputs), last.output);
  if (nodes === undefined) return { layer, reason: 'the block reads more than its input' };
  const { resolve } = execution;
  const placed = [gate, up, down].map((projection, at): readonly [Projection, Site] => {
    const site = sites[at] as Site;
    return [projection, { ...site, input: resolve(site.input), output: resolve(site.output) }];
  });
  const output = resolve(last.output);
  return { id: `layers.${layer}`, layer, gate, up, down, inputs, output, sites: new Map(placed), nodes };
}

function siteOf({ nodes }: Execution, { sites }: Projection): Site | undefined {
  const inside = new Set(nodes);
  return sites.find(({ node }) => inside.has(node));
}

/** The nodes that make `to` from the values `from` and constants; undefined when something else is read as well. */
function nodesBetween(execution: Execution, from: ReadonlySet<Value>, to: Value): readonly Node[] | undefined {
  const found = new Set<Node>();
  const open = [to];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const value = execution.resolve(next);
    if (from.has(value) || value.initializer !== undefined) continue;
    if (value.producer === undefined) return undefined;
    if (found.has(value.producer)) continue;
    found.add(value.producer);
    open.push(...inputsOf(value.producer));
  }
  return execution.nodes.filter((node) => found.has(node));
}
