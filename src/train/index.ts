/** Training: gradients, blocks, distillation of tables, quantization-aware training. */
export type { HeldOutEvaluation } from './distill/checkpoint.js';
export { distill } from './distill.js';
export { type TrainedWeights, trainWeights } from './qat.js';
export { type Trained, trainBlocks } from './train-blocks.js';
export { trainedFirst } from './trained-first.js';
export { tunesTables, tuneTables } from './tune-tables.js';
