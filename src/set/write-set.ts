/** Writes a nested set into a folder: the data file from solved projections, then the graphs over it, and the manifest. */
import { join } from 'node:path';
import { digestOfWhole } from '../files/range-digests.js';
import { bytesNeeded } from '../quant/layout.js';
import type { Bits, Recipe } from '../recipe/index.js';
import { TOOL } from '../version.js';
import { digestsFor } from './set-digests.js';
import { writeSetGraph } from './set-graph.js';
import { dataName, idOf } from './set-identity.js';
import { SET_VERSION, type SetGraph, type SetManifest, writeManifest } from './set-manifest.js';
import { metadataOf } from './set-output.js';
import { SetWriter, type WrittenSet } from './set-writer.js';
import type { StoredProjection } from './stored-pieces.js';
import type { Template } from './template.js';

/** Writes the data file at `path`: what stays, then the projections as they arrive. Every byte is written once and digested once. */
export async function writeData(
  path: string,
  template: Pick<Template, 'layout' | 'rest'> & Partial<Pick<Template, 'tokenTables'>>,
  solved: AsyncIterable<StoredProjection>,
): Promise<WrittenSet> {
  const writer = new SetWriter(path, template.layout);
  try {
    template.rest.forEach((tensor, index) => writer.writeRest(index, tensor));
    for (const table of template.tokenTables ?? []) writer.writeTable(table);
    for await (const { id, parts } of solved) writer.writeProjection(id, parts);
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
