/** What a command may write: never an input, never a file of others. */
export { guardOutputs, isCutOf, type Output, type OutputCheck, realPath } from './outputs.js';
