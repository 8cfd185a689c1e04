/** Copies of an open source whose graph may be changed: weights are shared, the source stays as it was read. */
import type { Embedding, Projection, Site, Weight } from '../analysis/projection.js';
import { analyse } from '../analysis/projections.js';
import { type Clone, cloneModel } from '../onnx/ir/clone.js';
import type { Node, Value } from '../onnx/ir/graph.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { computeInFloat32, computesIn, type HalfType } from '../onnx/rewrite/widen-arithmetic.js';
import type { Recipe } from '../recipe/index.js';
import { choose, type Source } from './source.js';

/** A copy of a source, and what became of each node of the original. */
export interface SourceClone {
  readonly source: Source;
  readonly nodes: Clone['nodes'];
}

/** The same source over a copy of its graph: projections, embedding and choice are those of the copy. */
export function cloneSource({ path, model, analysis, rewrites, chosen, left }: Source): SourceClone {
  const clone = cloneModel(model);
  const twins = new Map(analysis.projections.map((each) => [each, projectionIn(clone, each)]));
  const twinOf = (projection: Projection): Projection => twins.get(projection) as Projection;
  const source: Source = {
    path,
    model: clone.model,
    analysis: {
      ...analysis,
      projections: analysis.projections.map(twinOf),
      embedding: analysis.embedding && embeddingIn(clone, analysis.embedding),
      tables: analysis.tables.map((each) => embeddingIn(clone, each)),
    },
    rewrites,
    chosen: chosen.map(({ projection, ...rest }) => ({ projection: twinOf(projection), ...rest })),
    left,
  };
  return { source, nodes: clone.nodes };
}

const HALVES: readonly HalfType[] = ['bfloat16', 'float16'];

/** The source computing in float32, as gradients need it: itself where it does, else a copy. */
export function inFloat32(source: Source, recipe: Recipe): Source {
  if (!HALVES.some((half) => computesIn(source.model, half))) return source;
  const { model } = cloneModel(source.model);
  computeInFloat32(new Rewriter(model), HALVES);
  return choose({ ...source, model, analysis: analyse(model) }, recipe);
}

function projectionIn(clone: Clone, projection: Projection): Projection {
  return {
    ...projection,
    weight: weightIn(clone, projection.weight),
    sites: projection.sites.map((site) => siteIn(clone, site)),
  };
}

function siteIn(clone: Clone, site: Site): Site {
  return {
    ...site,
    node: nodeIn(clone, site.node),
    input: valueIn(clone, site.input),
    output: valueIn(clone, site.output),
    bias: site.bias && valueIn(clone, site.bias),
    walk: site.walk.map((node) => nodeIn(clone, node)),
  };
}

function embeddingIn(clone: Clone, embedding: Embedding): Embedding {
  const nodes = embedding.nodes.map((node) => nodeIn(clone, node));
  return { ...embedding, nodes, weight: weightIn(clone, embedding.weight) };
}

const weightIn = (clone: Clone, weight: Weight): Weight => ({ ...weight, source: valueIn(clone, weight.source) });

/** The copy of a node of a cloned graph. */
const nodeIn = ({ nodes }: Clone, node: Node): Node => nodes.get(node) ?? notCopied(node.name);
const valueIn = ({ values }: Clone, value: Value): Value => values.get(value) ?? notCopied(value.name);

function notCopied(name: string): never {
  throw new Error(`${name} does not belong to the graph that was copied`);
}
