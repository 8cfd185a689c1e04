/** Gradients of parts of a model as ordinary graphs, and what each token means for the loss. */
export { adjointName, adjointTerm, isFloat } from './adjoint.js';
export { type DecoderHead, headOf } from './decoder-head.js';
export { groupsOfOutputs } from './token-weights/mean-square.js';
export { type TokenWeightsRequest, weighTokens } from './token-weights/token-weights.js';
export { forwardPart, LOSS, TrainingGraph, type TrainingRequest } from './training-graph.js';
export { type Step, TrainingSession } from './training-session.js';
