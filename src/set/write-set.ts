/** Writes a nested set into a folder: solves the projections one after another into the data file, then the graphs over it. */
import { join } from 'node:path';
import { type Entry, enterProjections } from '../emit/entry.js';
import { abstractProjections } from '../emit/sites.js';
import { digestOfWhole } from '../files/range-digests.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { bytesNeeded, type ProjectionPlace, type SetLayout } from '../quant/layout.js';
import type { Bits, Recipe } from '../recipe/index.js';
import { type SolvedProjection, shrinkFloats } from '../solve/index.js';
import type { Chosen, Source } from '../source/index.js';
import { TOOL } from '../version.js';
import { partsOf } from './parts.js';
import { planLayout } from './plan.js';
import { digestsFor } from './set-digests.js';
import { restOf, type SetTemplate, writeSetGraph } from './set-graph.js';
import { dataName, idOf } from './set-identity.js';
import { SET_VERSION, type SetGraph, type SetManifest, writeManifest } from './set-manifest.js';
import { metadataOf } from './set-output.js';
import { type ProjectionParts, SetWriter, type WrittenSet } from './set-writer.js';

/** A template with the layout of its set. */
export interface Template extends SetTemplate {
  readonly layout: SetLayout;
}

/** Puts placeholders into the source's model, with the nodes of `entries` around them, and lays out the set. The float graph is gone afterwards. */
export function makeTemplate(
  source: Source,
  recipe: Recipe,
  entries: ReadonlyMap<string, Entry> = new Map(),
): Template {
  const rw = new Rewriter(source.model);
  abstractProjections(
    rw,
    source.chosen.map(({ projection }) => projection),
  );
  enterProjections(rw, entries);
  shrinkFloats(source.model, source.analysis, recipe);
  const rest = restOf(source.model);
  const layout = planLayout(
    source.chosen,
    recipe,
    rest.map((tensor) => tensor.byteLength),
  );
  return { model: source.model, rest, layout };
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
  written: WrittenSet,
  accuracyLevel: 0 | 4,
): SetGraph {
  const file = `${stem}_int${bits}.onnx`;
  const name = `int${bits}`;
  const { layout } = written;
  const needed = bytesNeeded(layout, bits);
  const record = { metadata: metadataOf({ name, bits }), data: digestsFor(written, needed) };
  const data = dataName(stem, idOf(written));
  const path = join(folder, file);
  writeSetGraph(path, template, { layout, data, bitsOf: () => bits, accuracyLevel, record });
  return { file, name, bits, bytesNeeded: needed, sha256: digestOfWhole(path) };
}

/** What goes into NAME.json beside the layout. */
export interface ManifestFacts {
  readonly source: SetManifest['source'];
  readonly recipe: Recipe;
  readonly graphs: readonly SetGraph[];
  readonly quality: Readonly<Record<string, unknown>>;
  readonly provenance: Readonly<Record<string, unknown>>;
}

/** Writes NAME.json. */
export function writeSetManifest(path: string, stem: string, written: WrittenSet, facts: ManifestFacts): void {
  const { source, recipe, graphs, quality, provenance } = facts;
  const manifest: SetManifest = {
    format: 'matquant-set',
    version: SET_VERSION,
    tool: TOOL,
    source,
    recipe,
    accuracyLevel: recipe.accuracyLevel,
    id: idOf(written),
    data: dataName(stem, idOf(written)),
    layout: written.layout,
    restSha256: written.restSha256,
    sections: written.sections,
    graphs,
    quality,
    provenance,
  };
  writeManifest(path, manifest);
}
