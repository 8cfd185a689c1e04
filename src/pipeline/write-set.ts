/** Writes a nested set into a folder: solves the projections one after another into the data file, then the graphs over it. */
import { join } from 'node:path';
import { nestProjections } from '../../passes/nest-projections.js';
import { exportModel } from '../convert/export.js';
import { SET_VERSION, type SetGraph, type SetManifest, writeManifest } from '../convert/set-manifest.js';
import { SetTensors } from '../convert/set-tensors.js';
import { type ProjectionParts, SetWriter, type WrittenSet } from '../convert/set-writer.js';
import { cloneModel } from '../ir/clone.js';
import { graphsOf, type Model } from '../ir/graph.js';
import type { Tensor } from '../ir/tensor.js';
import { bytesNeeded, type ProjectionPlace, planSet, type SetLayout } from '../quant/layout.js';
import { abstractProjections } from '../rewrite/projection/sites.js';
import { Rewriter } from '../rewrite/rewriter.js';
import { TOOL } from '../version.js';
import { partsOf } from './parts.js';
import type { Bits, Recipe } from './recipe.js';
import { shrinkFloats } from './rest.js';
import type { SolvedProjection } from './solve-projections.js';
import type { Chosen, Source } from './source.js';

/** Tensors from this size on live in the data file; smaller ones stay in the graphs. */
const EXTERNAL_FROM = 1024;

/** A model in which every chosen projection is a placeholder, and what stays of its tensors. */
export interface Template {
  readonly model: Model;
  readonly rest: readonly Tensor[];
  readonly layout: SetLayout;
}

/** Puts placeholders into the source's model and lays out the set. The source's float graph is gone afterwards. */
export function makeTemplate(source: Source, recipe: Recipe): Template {
  abstractProjections(
    new Rewriter(source.model),
    source.chosen.map(({ projection }) => projection),
  );
  shrinkFloats(source.model, source.analysis, recipe);
  const rest = restOf(source.model);
  const planned = source.chosen.map(({ projection: { id, layer, role, k, n }, floor }) => ({
    id,
    layer,
    role,
    k,
    n,
    minBits: floor,
  }));
  const { bits, block, decode, tables, symmetric } = recipe;
  const layout = planSet(
    planned,
    rest.map((tensor) => tensor.byteLength),
    { bits, block, decode, tables, symmetric },
  );
  return { model: source.model, rest, layout };
}

/** Distinct large tensors of a model, in graph order. */
function restOf(model: Model): readonly Tensor[] {
  const seen = new Map<object, Tensor>();
  for (const graph of graphsOf(model.graph)) {
    for (const { initializer } of graph.initializers) {
      if (initializer !== undefined && initializer.byteLength >= EXTERNAL_FROM && !seen.has(initializer.storage))
        seen.set(initializer.storage, initializer);
    }
  }
  return [...seen.values()];
}

/** Sees every projection as it is written. */
export type OnSolved = (solved: SolvedProjection, place: ProjectionPlace, parts: ProjectionParts) => void;

/** Yields the solutions of the chosen projections; `placeOf` tells where each will lie. */
export type Solve = (
  chosen: readonly Chosen[],
  placeOf: (id: string) => ProjectionPlace,
) => AsyncIterable<SolvedProjection>;

/** Solves and writes the data file at `path`. */
export async function writeData(
  path: string,
  template: Template,
  solve: Solve,
  chosen: readonly Chosen[],
  onSolved: OnSolved,
): Promise<WrittenSet> {
  const places = new Map(template.layout.projections.map((place) => [place.id, place]));
  const placeOf = (id: string): ProjectionPlace => places.get(id) as ProjectionPlace;
  const writer = new SetWriter(path, template.layout);
  try {
    template.rest.forEach((tensor, index) => writer.writeRest(index, tensor));
    for await (const solved of solve(chosen, placeOf)) {
      const place = placeOf(solved.chosen.projection.id);
      const parts = partsOf(place, solved.nested, template.layout);
      writer.writeProjection(place.id, parts);
      onSolved(solved, place, parts);
    }
    return writer.finish();
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

/** Writes one weightless graph; returns its entry for the manifest. */
export function writeGraph(
  folder: string,
  stem: string,
  bits: Bits,
  template: Template,
  data: string,
  accuracyLevel: 0 | 4,
  layout: SetLayout,
): SetGraph {
  const model = cloneModel(template.model).model;
  const tensors = new SetTensors(data);
  tensors.placeRest(template.rest, layout);
  const rw = new Rewriter(model);
  nestProjections(rw, {
    layout,
    tensor: (range, dtype, shape) => tensors.tensor(range, dtype, shape),
    bitsOf: () => bits,
    accuracyLevel,
  });
  rw.setMetadata(model, 'matquant.tool', TOOL);
  rw.setMetadata(model, 'matquant.precision', `int${bits}`);
  const file = `${stem}_int${bits}.onnx`;
  exportModel(model, join(folder, file), { inline: true, placements: tensors.placements });
  return { file, name: `int${bits}`, bits, bytesNeeded: bytesNeeded(layout, bits) };
}

/** What goes into NAME.json beside the layout. */
export interface ManifestFacts {
  readonly source: { readonly name: string; readonly sha256?: string | undefined };
  readonly recipe: Recipe;
  readonly graphs: readonly SetGraph[];
  readonly quality: Readonly<Record<string, unknown>>;
  readonly provenance: Readonly<Record<string, unknown>>;
}

/** Writes NAME.json. */
export function writeSetManifest(path: string, data: string, written: WrittenSet, facts: ManifestFacts): void {
  const { source, recipe, graphs, quality, provenance } = facts;
  const manifest: SetManifest = {
    format: 'matquant-set',
    version: SET_VERSION,
    tool: TOOL,
    source,
    recipe,
    accuracyLevel: recipe.accuracyLevel,
    data,
    layout: written.layout,
    restSha256: written.restSha256,
    sections: written.sections,
    graphs,
    quality,
    provenance,
  };
  writeManifest(path, manifest);
}
