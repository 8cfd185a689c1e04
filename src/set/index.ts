/** The nested set: manifest, data file, slices, and what is checked when it is read. */
export { type AppendOptions, type AppendResult, append } from './append.js';
export { compact, copyCompact } from './compact-output.js';
export { denseWeights } from './dense-weights.js';
export {
  type BlockTraining,
  type CompiledDistillation,
  type CompiledFacts,
  type CompiledProjection,
  type CompiledTable,
  openSetOf,
  type Refusal,
  readChecked,
  readCompiled,
  stemOf,
  writeCompiled,
} from './facts.js';
export { requireFoldable } from './foldable.js';
export { type Float16Facts, rangeWindows } from './half-template.js';
export { centredTable, codesAt, packPrefix, type SetReader, storedBias } from './packed.js';
export { partsOf } from './parts.js';
export { planLayout } from './plan.js';
export { graphName, publish } from './publish.js';
export { examineSet, requireData } from './set-digests.js';
export { writeSetGraph } from './set-graph.js';
export { dataName, digestOfSet, idOf, stemOfData } from './set-identity.js';
export { type OpenSet, openSet, type SetGraph, type SetManifest, writeManifest } from './set-manifest.js';
export { inWordsOfSet } from './set-of-graph.js';
export {
  fileOf,
  metadataOf,
  opsetOf,
  type Selection,
  type WrittenFile,
  writeModel,
  writeSelection,
  writeStandalone,
} from './set-output.js';
export { guardSetOutput, isSameFolder, type SetOutput } from './set-outputs.js';
export { type OpenTemplate, openTemplate } from './set-template.js';
export { originOf, SetTensors } from './set-tensors.js';
export type { WrittenSet } from './set-writer.js';
export { type SliceInput, type SliceOptions, type SliceResult, slice } from './slice.js';
export { SolvedStore } from './solved-store.js';
export { type SplitGraph, type SplitPlanesOptions, splitPlanes } from './split-planes.js';
export { storedBitsOfGraph } from './stored-bits-of-graph.js';
export { type ProjectionParts, placesOf, type StoredProjection } from './stored-pieces.js';
export { type GraphChanges, makeTemplate, type Template } from './template.js';
export { withTables } from './token-tables.js';
export { writeData, writeGraph, writeSetManifest } from './write-set.js';
