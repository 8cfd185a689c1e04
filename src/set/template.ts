/** The template that all graphs of a compilation are filled from: a copy of the source with placeholders, and the layout of its set. */
import { type Entry, enterProjections } from '../emit/entry.js';
import { type Fold, foldScale } from '../emit/fold-scale.js';
import { abstractProjections } from '../emit/sites.js';
import type { Node } from '../onnx/ir/graph.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import type { SetLayout } from '../quant/layout.js';
import type { Recipe } from '../recipe/index.js';
import { type NestedTable, placeTables, type SolvedTable, shrinkFloats, type TokenOrder } from '../solve/index.js';
import { cloneSource, type Source } from '../source/index.js';
import { planLayout } from './plan.js';
import { restOf, type SetTemplate } from './set-graph.js';
import { type PlacedTable, placedTables } from './token-tables.js';

/** A template with the layout of its set. */
export interface Template extends SetTemplate {
  readonly layout: SetLayout;
  /** The embedding and the head, where they are nested. */
  readonly tokenTables: readonly PlacedTable[];
}

/** What is known of the graph before projections are solved; nodes are the source's. */
export interface GraphChanges {
  /** Nodes around projections, by id. */
  readonly entries: ReadonlyMap<string, Entry>;
  /** Scales that norms take. */
  readonly folds: readonly Fold[];
  /** The embedding and the head, where they are quantized. */
  readonly tables: readonly SolvedTable[];
  /** The same where they are nested. */
  readonly nested?: readonly NestedTable[];
  /** The order of their rows, where frequent ids are set apart. */
  readonly order?: TokenOrder | undefined;
}

/** Copies the graph of the source, changes it, puts placeholders in the place of the chosen projections, and lays out the set. */
export function makeTemplate(
  source: Source,
  recipe: Recipe,
  { entries, folds, tables, nested = [], order }: GraphChanges,
): Template {
  const { source: copy, nodes } = cloneSource(source);
  const folder = new Rewriter(copy.model);
  for (const fold of folds) foldScale(folder, inCopy(fold, nodes));
  placeTables(copy, tables, recipe, order);
  const rw = new Rewriter(copy.model);
  abstractProjections(
    rw,
    copy.chosen.map(({ projection }) => projection),
  );
  enterProjections(rw, entries);
  shrinkFloats(copy.model, copy.analysis, recipe);
  const rest = restOf(copy.model);
  const planned = planLayout(
    copy,
    recipe,
    rest.map((tensor) => tensor.byteLength),
  );
  const stored = placedTables(planned, nested);
  const placed = stored.length === 0 ? {} : { tokenTables: stored.map(({ place }) => place) };
  return { model: copy.model, rest, layout: { ...planned, ...placed }, tokenTables: stored };
}

/** A fold at the nodes of a copy. */
const inCopy = ({ id, places, inverse }: Fold, nodes: ReadonlyMap<Node, Node>): Fold => ({
  id,
  inverse,
  places: places.map(({ node, slot }) => ({ node: nodes.get(node) as Node, slot })),
});
