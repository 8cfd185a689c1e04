/** A template out of a set on disk: a graph of the set whose projections are placeholders again. No original is needed. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { collapseProjections } from '../emit/sites.js';
import { importModel } from '../onnx/convert/import.js';
import type { Model } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import type { Range, SetLayout } from '../quant/layout.js';
import { requireGraph } from './set-digests.js';
import { restOf } from './set-graph.js';
import { type OpenSet, openSet, type SetGraph } from './set-manifest.js';
import { originOf } from './set-tensors.js';

export interface OpenTemplate {
  readonly set: OpenSet;
  readonly template: Model;
  /** Tensors of the template that lie in the data file, and the layout with their ranges in the same order. */
  readonly rest: readonly Tensor[];
  readonly layout: SetLayout;
}

/** What ends the name of a graph that computes in float16 although its source does not. */
export const HALF_SUFFIX = 'f16';

/** Graphs in float16 come last: what is made from one is float16 too. */
const rankOf = ({ name }: SetGraph): number => (name.endsWith(HALF_SUFFIX) ? 1 : 0);

/** Opens a set and turns the graph that needs the fewest bytes into a template. */
export function openTemplate(path: string): OpenTemplate {
  const set = openSet(path);
  const graphs = set.manifest.graphs.toSorted((a, b) => rankOf(a) - rankOf(b) || a.bytesNeeded - b.bytesNeeded);
  const usable = graphs.find(
    ({ file, bytesNeeded }) => bytesNeeded <= set.dataBytes && existsSync(join(set.folder, file)),
  );
  if (usable === undefined) {
    fail('precision-missing', path, 'The folder has no graph of the set that the data file is long enough for');
  }
  requireGraph(set, usable);
  const template = importModel(join(set.folder, usable.file));
  const found = collapseProjections(new Rewriter(template));
  if (found === 0) fail('not-a-set', join(set.folder, usable.file), 'The graph has no projection of the set');
  const placed = restOf(template).flatMap((tensor) => {
    const origin = originOf(tensor);
    return origin?.location === set.manifest.data ? [{ tensor, origin }] : [];
  });
  const rest = placed.map(({ tensor }) => tensor);
  const ranges = placed.map(({ origin }): Range => ({ offset: origin.offset, length: origin.length }));
  return { set, template, rest, layout: { ...set.manifest.layout, rest: ranges } };
}
