/** Segments of the model run over windows: statistics of the inputs of projections. */
export { blendStatistics } from './blended-statistics.js';
export { capture, headerOfWindows } from './capture.js';
export { denseTensor } from './dense-tensor.js';
export { countText, isEnough, needOf, type TextCounts, type TextNeed, textWeight } from './evidence.js';
export type { StreamStatistics } from './gram.js';
export { edgesOf, GraphFeeder, graphRoles, keepAllLogits, portOf } from './graph-feeds.js';
export { type Group, type Plan, planCapture } from './groups.js';
export { digestOfModel } from './model-digest.js';
export { activationRanges } from './ranges.js';
export { shrinkRouted } from './routed-statistics.js';
export { outputMatrices, type RowWeighting, type WeightedRows, type WeightFacts } from './row-weighting.js';
export { SegmentFiles } from './segment-files.js';
export { buildSegmentModel, type Edge, type SegmentModel } from './segment-model.js';
export type { Override, RunRequest } from './segment-request.js';
export { SegmentRunner, type Stream } from './segment-runner.js';
export { joinShards, shardsOf } from './shards.js';
export { ActivationStore, MemoryBudget } from './spill.js';
export { SpillFile } from './spill-file.js';
export { digestOfWindows, hessianOf, requireWeights, type Statistics, type StatisticsHeader } from './statistics.js';
export {
  checkStatistics,
  filesOfStatistics,
  mergeStatistics,
  openStatistics,
  saveStatistics,
} from './statistics-files.js';
