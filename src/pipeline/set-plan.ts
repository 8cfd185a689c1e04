/** A float model as a template and a plan of its nested set: what the data file will hold, and how graphs read it. */
import { nestProjections } from '../../passes/nest-projections.js';
import type { Projection, Site } from '../analysis/projection.js';
import { type Exported, exportModel } from '../convert/export.js';
import { SetTensors } from '../convert/set-tensors.js';
import type { SetWriter } from '../convert/set-writer.js';
import { type Clone, cloneModel } from '../ir/clone.js';
import { graphsOf, isOp, type Model } from '../ir/graph.js';
import type { Tensor } from '../ir/tensor.js';
import { type LayoutOptions, type PlannedProjection, planSet, type SetLayout } from '../quant/layout.js';
import type { BitsOf } from '../quant/layout-use.js';
import type { JoinStep } from '../rewrite/projection/join.js';
import { abstractProjections } from '../rewrite/projection/sites.js';
import { Rewriter } from '../rewrite/rewriter.js';

/** Smaller tensors stay in the graphs: runtimes want shapes and scalars at hand. */
const REST_FROM = 1024;

/** A projection of the float model, with the lowest precision it may have. */
export interface PlannedSite {
  readonly projection: Projection;
  readonly minBits?: number;
}

export interface SetPlan {
  readonly layout: SetLayout;
  /** The model with a placeholder for every projection; never changed. */
  readonly template: Model;
  /** Tensors of the rest, in the order of the layout. */
  readonly rest: readonly Tensor[];
}

/** Plans a set. The model is only read. */
export function planModel(model: Model, planned: readonly PlannedSite[], options: LayoutOptions): SetPlan {
  const clone = cloneModel(model);
  const rw = new Rewriter(clone.model);
  abstractProjections(
    rw,
    planned.map(({ projection }) => projectionIn(clone, projection)),
  );
  const rest = restOf(clone.model);
  const lengths = rest.map((tensor) => tensor.byteLength);
  return { layout: planSet(planned.map(shapeOf), lengths, options), template: clone.model, rest };
}

/** Streams everything that is not quantized into the data file. */
export function writeRest(plan: SetPlan, writer: SetWriter): void {
  plan.rest.forEach((tensor, index) => writer.writeRest(index, tensor));
}

/** What decides one graph over a data file. */
export interface GraphOptions {
  /** The layout as it was written. */
  readonly layout: SetLayout;
  /** Bare name of the data file. */
  readonly data: string;
  readonly bitsOf: BitsOf;
  readonly accuracyLevel: 0 | 4;
  readonly step?: JoinStep;
  /** Entries of the model's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Writes one graph without weights over the data file of a set. The template is only read. */
export function writeSetGraph(path: string, template: Model, rest: readonly Tensor[], options: GraphOptions): Exported {
  const { model } = cloneModel(template);
  const rw = new Rewriter(model);
  const tensors = new SetTensors(options.data);
  tensors.placeRest(rest, options.layout);
  nestProjections(rw, { ...options, tensor: (range, dtype, shape) => tensors.tensor(range, dtype, shape) });
  for (const [key, text] of Object.entries(options.metadata ?? {})) rw.setMetadata(model, key, text);
  return exportModel(model, path, { inline: true, placements: tensors.placements });
}

/** The tensors of a template that go to a data file, each range of bytes once, in graph order. */
export function restOf(template: Model): readonly Tensor[] {
  const found = new Map<object, Tensor>();
  for (const tensor of tensorsOf(template)) {
    if (tensor.byteLength < REST_FROM || tensor.strings !== undefined) continue;
    if (!found.has(tensor.storage)) found.set(tensor.storage, tensor);
  }
  return [...found.values()];
}

function* tensorsOf(model: Model): Generator<Tensor> {
  for (const graph of graphsOf(model.graph)) {
    for (const { initializer } of graph.initializers) if (initializer !== undefined) yield initializer;
    for (const node of graph.nodes) {
      const value = node.attributes.get('value');
      if (isOp(node, 'Constant') && value?.kind === 'tensor') yield value.value;
    }
  }
}

const shapeOf = ({ projection, minBits }: PlannedSite): PlannedProjection => {
  const { id, layer, role, k, n } = projection;
  return { id, layer, role, k, n, ...(minBits === undefined ? {} : { minBits }) };
};

/** The same projection in a copy of its model. */
export function projectionIn(clone: Clone, projection: Projection): Projection {
  const value = <V>(map: ReadonlyMap<V, V>, original: V): V => map.get(original) ?? original;
  const siteIn = (site: Site): Site => ({
    ...site,
    node: value(clone.nodes, site.node),
    input: value(clone.values, site.input),
    output: value(clone.values, site.output),
    bias: site.bias && value(clone.values, site.bias),
    walk: site.walk.map((node) => value(clone.nodes, node)),
  });
  const source = value(clone.values, projection.weight.source);
  return { ...projection, weight: { ...projection.weight, source }, sites: projection.sites.map(siteIn) };
}
