/** Text and token ids: from files to windows. */
export { type Batch, batchesOf, rowScaleOf, type Window, weightOf } from './batches.js';
export { readText, requireIdsBelow } from './dataset.js';
export { type TextAsked, type TextInput, type TextOptions, textFiles } from './text-options.js';
export { bosOf, loadTokenizer, type TextTokenizer } from './tokenizer.js';
export { readSplit, readWindows, type SplitText, startsOf, tokensIn } from './windows.js';
