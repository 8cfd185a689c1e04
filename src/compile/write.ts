/** The stage that writes: a data file with its graphs, or one self-contained model per precision. */
import { renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bitsPerWeight } from '../quant/layout-use.js';
import type { Bits } from '../recipe/index.js';
import {
  dataName,
  graphName,
  idOf,
  type SetGraph,
  SolvedStore,
  type StoredProjection,
  type Template,
  type WrittenSet,
  withTables,
  writeData,
  writeGraph,
  writeModel,
} from '../set/index.js';
import type { CompiledPrecision } from './compile-options.js';
import type { Job } from './open.js';
import type { StagingFolder } from './staging-folder.js';

/** Models in a folder. */
export interface Written {
  readonly models: readonly (CompiledPrecision & Pick<SetGraph, 'name' | 'file'>)[];
  /** The set that they are graphs of; undefined for self-contained models. */
  readonly set: { readonly written: WrittenSet; readonly graphs: readonly SetGraph[] } | undefined;
}

/** Writes what the options ask for. */
export const write = (
  staging: StagingFolder,
  job: Job,
  template: Template,
  projections: AsyncIterable<StoredProjection>,
): Promise<Written> =>
  job.options.standalone
    ? writeModels(staging, job, template, projections)
    : writeSet(staging, job, template, projections);

const ascending = (bits: readonly Bits[]): readonly Bits[] => bits.toSorted((a, b) => a - b);

/** The data file, every byte once, then a graph for each precision. */
async function writeSet(
  staging: StagingFolder,
  { stem, clock, options }: Job,
  template: Template,
  projections: AsyncIterable<StoredProjection>,
): Promise<Written> {
  const { recipe } = options;
  const data = join(staging.path, `${stem}.data`);
  const written = await writeData(data, template, projections);
  renameSync(data, join(staging.path, dataName(stem, idOf(written))));
  clock.lap(projections instanceof SolvedStore ? 'write' : 'solve');
  const graphs = ascending(recipe.bits).map((bits) =>
    writeGraph(staging.path, stem, bits, template, written, recipe.accuracyLevel),
  );
  const models = graphs.map(({ name, file, bits, bytesNeeded }) => ({
    name,
    file,
    bits: bits as Bits,
    dataBytes: bytesNeeded,
    bytes: bytesNeeded + statSync(join(staging.path, file)).size,
    storedBitsPerWeight: bitsPerWeight(template.layout, () => bits as Bits, false).stored,
  }));
  clock.lap('emit');
  return { models, set: { written, graphs } };
}

/** Models that share nothing: every one reads the codes of all projections, so these are collected first. */
async function writeModels(
  staging: StagingFolder,
  { stem, clock, options, context }: Job,
  template: Template,
  projections: AsyncIterable<StoredProjection>,
): Promise<Written> {
  const { recipe } = options;
  const isStored = projections instanceof SolvedStore;
  const store = isStored ? projections : staging.add(await SolvedStore.of(template.layout, projections, staging.path));
  const reader = withTables(store, template.tokenTables);
  if (!isStored) clock.lap('solve');
  const { accuracyLevel } = recipe;
  const models = ascending(recipe.bits).map((bits) => {
    context.signal.throwIfAborted();
    const file = graphName(stem, bits);
    const selection = { name: `int${bits}`, bits, bitsOf: () => bits };
    const parts = { template: template.model, reader, accuracyLevel };
    const [graph, ...data] = writeModel(parts, selection, join(staging.path, file)).map((each) => each.bytes);
    const dataBytes = data.reduce((sum, each) => sum + each, 0);
    const storedBitsPerWeight = bitsPerWeight(reader.layout, () => bits, true).stored;
    return { name: selection.name, file, bits, bytes: (graph as number) + dataBytes, dataBytes, storedBitsPerWeight };
  });
  clock.lap('models');
  return { models, set: undefined };
}
