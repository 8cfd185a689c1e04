export { convertRows } from './convert';
export { dataFree } from './datafree';
export { factorDiagonal, factorFill, factorFinish, factorPanel, factorUpdate } from './factor';
export { blockGram, blockSums, gramCopy } from './gram';
export { scratchBytes, tileRows } from './job';
export { clipRows } from './range';
export { scoreRows } from './score';
export { measureRows, solveRows } from './solve';
export { widenPlane } from './widen';
