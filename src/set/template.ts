/** The template that all graphs of a compilation are filled from: a copy of the source with placeholders, and the layout of its set. */
import { type Entry, enterProjections } from '../emit/entry.js';
import { type Fold, foldScale } from '../emit/fold-scale.js';
import { abstractProjections } from '../emit/sites.js';
import type { Node } from '../onnx/ir/graph.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import type { SetLayout } from '../quant/layout.js';
import type { Recipe } from '../recipe/index.js';
import { placeTables, type SolvedTable, shrinkFloats } from '../solve/index.js';
import { cloneSource, type Source } from '../source/index.js';
import { planLayout } from './plan.js';
import { restOf, type SetTemplate } from './set-graph.js';

/** A template with the layout of its set. */
export interface Template extends SetTemplate {
  readonly layout: SetLayout;
}

/** What is known of the graph before projections are solved; nodes are the source's. */
export interface GraphChanges {
  /** Nodes around projections, by id. */
  readonly entries: ReadonlyMap<string, Entry>;
  /** Scales that norms take. */
  readonly folds: readonly Fold[];
  /** The embedding and the head, where they are quantized. */
  readonly tables: readonly SolvedTable[];
}

/** Copies the graph of the source, changes it, puts placeholders in the place of the chosen projections, and lays out the set. */
export function makeTemplate(source: Source, recipe: Recipe, { entries, folds, tables }: GraphChanges): Template {
  const { source: copy, nodes } = cloneSource(source);
  const folder = new Rewriter(copy.model);
  for (const fold of folds) foldScale(folder, inCopy(fold, nodes));
  placeTables(copy, tables, recipe);
  const rw = new Rewriter(copy.model);
  abstractProjections(
    rw,
    copy.chosen.map(({ projection }) => projection),
  );
  enterProjections(rw, entries);
  shrinkFloats(copy.model, copy.analysis, recipe);
  const rest = restOf(copy.model);
  return {
    model: copy.model,
    rest,
    layout: planLayout(
      copy.chosen,
      recipe,
      rest.map((tensor) => tensor.byteLength),
    ),
  };
}

/** A fold at the nodes of a copy. */
const inCopy = ({ id, places, inverse }: Fold, nodes: ReadonlyMap<Node, Node>): Fold => ({
  id,
  inverse,
  places: places.map(({ node, slot }) => ({ node: nodes.get(node) as Node, slot })),
});
