/**
 * Every error and refusal of the compiler, in one table: a code, what it means, what to do about it.
 * Tests assert codes, users search for them, the README never lists them by hand.
 */

import { withoutTemporary } from './files/temporary-names.js';

export { withoutTemporary };

/** What a code means and what to do about it. */
export interface DiagnosticKind {
  readonly summary: string;
  readonly remedy: string;
}

/** Errors: the input or the call cannot be processed. */
export const ERRORS: Record<ErrorCode, DiagnosticKind> = {
  'bad-usage': { summary: 'an option is not valid', remedy: 'see the accepted form in its description' },
  'file-missing': { summary: 'a file cannot be opened', remedy: 'check the path and its permissions' },
  'damaged-file': {
    summary: 'a file does not have the contents it was written with',
    remedy: 'delete the file and make it again',
  },
  'input-changed': {
    summary: 'an input file was changed while it was being read',
    remedy: 'run the command again when nothing writes to the file',
  },
  'work-folder': {
    summary: 'the folder of reusable results cannot be used',
    remedy: 'pass a writable folder as `work`',
  },
  'not-onnx': { summary: 'the file is not an ONNX model', remedy: 'pass a .onnx file exported from the model' },
  truncated: { summary: 'the file ends before its contents do', remedy: 'copy or export the file again' },
  'too-deep': { summary: 'messages are nested too deeply', remedy: 'export the model again' },
  'message-too-large': {
    summary: 'a protobuf message would pass its 2 GiB limit',
    remedy: 'store the weights as external data',
  },
  'external-missing': { summary: 'an external data file is missing', remedy: 'put the data file beside the model' },
  'external-short': {
    summary: 'an external data file ends before a tensor does',
    remedy: 'copy or export the data file again',
  },
  'external-path': {
    summary: 'an external data location is outside the folder of the model',
    remedy: 'store the data beside the model under a plain file name',
  },
  'external-range': {
    summary: 'an external data range is not a valid offset and length',
    remedy: 'export the model again',
  },
  'external-overlap': { summary: 'two tensors share part of a byte range', remedy: 'export the model again' },
  'tensor-size': {
    summary: 'the size of a tensor does not match its shape and type',
    remedy: 'export the model again',
  },
  'unknown-dtype': {
    summary: 'a tensor has an element type this version does not know',
    remedy: 'export the model with ordinary element types',
  },
  'duplicate-name': { summary: 'two values of one graph have the same name', remedy: 'export the model again' },
  'unknown-value': { summary: 'a node reads a value that does not exist', remedy: 'export the model again' },
  'cyclic-graph': { summary: 'the nodes of a graph form a cycle', remedy: 'export the model again' },
  'invalid-graph': { summary: 'the graph breaks a rule of the ONNX format', remedy: 'export the model again' },
  'local-function': {
    summary: 'a local function of the model cannot be inlined',
    remedy: 'inline the functions when exporting, or with onnx.inliner.inline_local_functions, and try again',
  },
  'not-finite': { summary: 'a weight is NaN or infinite', remedy: 'repair the checkpoint and export it again' },
  'no-ffn': {
    summary: 'no gated feed-forward block was found',
    remedy: 'run `matquant inspect` to see what was refused and why',
  },
  'weight-overridable': {
    summary: 'the weights of the model are also graph inputs',
    remedy: 'give `initializerInputs` constant, or take them off the list of inputs',
  },
  'already-quantized': {
    summary: 'the model is quantized already',
    remedy: 'start from the float export, or set `dequantizeSource` to take its weights as float ones',
  },
  'strict-skipped': {
    summary: 'a projection in scope stays float and `strict` is set',
    remedy: 'remove `strict` or narrow the scope',
  },
  recipe: { summary: 'the recipe is not valid', remedy: 'compare it with docs/recipes.md' },
  'bits-file': {
    summary: 'the bits file is not valid',
    remedy: 'give every layer one of the precisions of the set',
  },
  'not-a-set': { summary: 'the file is not a nested set', remedy: 'pass the .json written by `matquant compile`' },
  damaged: {
    summary: 'a file does not have the digest that it was written with',
    remedy: 'copy the file again from its source, or run the command that wrote it again',
  },
  'precision-missing': {
    summary: 'the data file is too short for the precision',
    remedy: 'choose a precision of the set, or append the missing bytes with `matquant append`',
  },
  'no-precision': {
    summary: 'the set has no model of this precision',
    remedy: 'ask for a precision that it has, or compile it with `--bits`',
  },
  'scale-range': {
    summary: 'a scale or offset is outside the range of float16, in which tables are stored',
    remedy: 'leave the projection float by an override of the recipe: { "match": "^ID$", "exclude": true }',
  },
  'float16-range': {
    summary: 'a cache holds values outside the range of float16',
    remedy: 'use the float32 form of the model (q4 instead of q4f16)',
  },
  'empty-text': { summary: 'the text has too few tokens', remedy: 'give more text' },
  'bad-ids': {
    summary: 'the token ids are not valid for the model',
    remedy: 'use the tokenizer that belongs to the model',
  },
  'bad-tokenizer': { summary: 'the tokenizer cannot be read', remedy: 'pass the tokenizer.json of the model' },
  'unsupported-model': {
    summary: 'the model has an input or output that this tool does not support',
    remedy: 'export a decoder with input_ids and logits',
  },
  'internal-graph': {
    summary: 'ONNX Runtime cannot run a graph that this tool made from the model',
    remedy: 'check that the original model runs in ONNX Runtime; if it does, please report this with the model',
  },
  'runtime-failed': {
    summary: 'ONNX Runtime cannot run a model',
    remedy: 'check that this model runs in ONNX Runtime by itself',
  },
  'capture-float64': {
    summary: 'an operator of the model has no float64 kernel in ONNX Runtime',
    remedy: 'set `capture` of the recipe to keep',
  },
  parity: { summary: 'an emitted graph gives wrong results', remedy: 'please report this with the model' },
  'levels-differ': {
    summary: 'a graph gives other results at another graph optimization level',
    remedy: 'do not use the file; slice or compile it again with this version, and report it if that does not help',
  },
  'not-folded': {
    summary: 'ONNX Runtime does not fold constants of a graph when it creates a session',
    remedy:
      'write the model with `standalone`, which needs no folding, or raise the session option optimization.constant_folding_max_output_size_in_bytes (1 GiB by default)',
  },
  'not-comparable': {
    summary: 'two sets have other projections, precisions or blocks',
    remedy: 'compare sets that were compiled by one recipe from one model',
  },
  'output-exists': { summary: 'the output cannot be written there', remedy: 'choose another output path' },
  'disk-full': { summary: 'the disk is full', remedy: 'free space or choose another disk' },
  'unsupported-target': {
    summary: 'the target runtime cannot run the requested form',
    remedy: 'choose other bits or another target',
  },
  statistics: { summary: 'the statistics do not belong to this model', remedy: 'capture them again' },
  'statistics-weights': {
    summary: 'the statistics weigh tokens in another way',
    remedy: 'give `fisher` of the recipe as it was when they were captured, or capture them again',
  },
  numeric: { summary: 'a numeric computation failed', remedy: 'use more calibration text or larger damping' },
  'report-input': {
    summary: 'a file of results for the report is not valid',
    remedy: 'save it again with `matquant eval … --json` or `matquant compile … --json`',
  },
  budget: { summary: 'the budget file is not valid', remedy: 'compare it with docs/ci.md' },
  'memory-bound': {
    summary: 'the work needs more memory than the limit',
    remedy: 'raise `memoryBytes`, or use a recipe that needs less',
  },
  memory: { summary: 'a projection is too large for the kernels', remedy: 'use the data-free method for it' },
  'no-graph': {
    summary: 'no float graph was found',
    remedy: 'name one with `file`; a model without a float ONNX graph is exported first, for example with optimum',
  },
  'several-graphs': { summary: 'several graphs may be meant', remedy: 'name the graph with `file`' },
  'tokenizer-missing': {
    summary: 'text was given and the model has no tokenizer',
    remedy: 'give its tokenizer.json with `tokenizer`, or token ids with `ids`',
  },
  'licence-missing': {
    summary: 'the model card names no licence',
    remedy: 'find out under which licence the model may be passed on before you publish what is made of it',
  },
  'hub-name': { summary: 'the name on the hub is not valid', remedy: 'write hf:ORG/NAME or hf:ORG/NAME@REVISION' },
  'hub-not-found': {
    summary: 'the hub has no such repository, revision or file',
    remedy: 'check the name; a private repository needs a token in HF_TOKEN',
  },
  'hub-access': {
    summary: 'the hub does not let this user read the repository',
    remedy:
      'accept the terms on the page of the repository, or use a token that may read it, and run the command again',
  },
  'hub-network': {
    summary: 'the hub cannot be reached',
    remedy: 'check the connection and HF_ENDPOINT, and run the command again: it goes on where the download stopped',
  },
  'hub-damaged': {
    summary: 'what was downloaded is not what the hub lists',
    remedy: 'run the command again: the file was removed and is downloaded anew',
  },
  'hub-offline': {
    summary: 'a file is not in the cache and nothing may be downloaded',
    remedy: 'run the command once without HF_HUB_OFFLINE',
  },
  plan: { summary: 'the folder has no plan, or not this unit', remedy: 'pass the folder that `matquant plan` wrote' },
  'plan-version': {
    summary: 'the plan was made by another version',
    remedy: 'run the version that made it, or make the plan again in another folder',
  },
  'plan-open': {
    summary: 'units of the plan are not done',
    remedy: 'run `matquant worker` until `matquant status` shows all units as done',
  },
  queue: { summary: 'the queue cannot be used', remedy: 'check its address, and that the server is running' },
  'queue-package': {
    summary: 'a package that queues need is not installed',
    remedy: 'run npm install bullmq ioredis for Redis, or npm install bullmq pg for PostgreSQL',
  },
  store: {
    summary: 'the object store cannot be used',
    remedy: 'check the address, AWS_ENDPOINT_URL_S3, AWS_REGION and the credentials, and run the command again',
  },
  'store-package': {
    summary: 'the package that object stores need is not installed',
    remedy: 'run npm install @aws-sdk/client-s3',
  },
};

/** Codes of errors; `ERRORS` has a sentence and a remedy for each. */
export type ErrorCode =
  | 'bad-usage'
  | 'file-missing'
  | 'damaged-file'
  | 'input-changed'
  | 'work-folder'
  | 'not-onnx'
  | 'truncated'
  | 'too-deep'
  | 'message-too-large'
  | 'external-missing'
  | 'external-short'
  | 'external-path'
  | 'external-range'
  | 'external-overlap'
  | 'tensor-size'
  | 'unknown-dtype'
  | 'duplicate-name'
  | 'unknown-value'
  | 'cyclic-graph'
  | 'invalid-graph'
  | 'local-function'
  | 'not-finite'
  | 'no-ffn'
  | 'weight-overridable'
  | 'already-quantized'
  | 'strict-skipped'
  | 'recipe'
  | 'bits-file'
  | 'not-a-set'
  | 'damaged'
  | 'precision-missing'
  | 'no-precision'
  | 'scale-range'
  | 'float16-range'
  | 'empty-text'
  | 'bad-ids'
  | 'bad-tokenizer'
  | 'unsupported-model'
  | 'internal-graph'
  | 'runtime-failed'
  | 'capture-float64'
  | 'parity'
  | 'levels-differ'
  | 'not-folded'
  | 'not-comparable'
  | 'output-exists'
  | 'disk-full'
  | 'unsupported-target'
  | 'statistics'
  | 'statistics-weights'
  | 'numeric'
  | 'report-input'
  | 'budget'
  | 'memory-bound'
  | 'memory'
  | 'no-graph'
  | 'several-graphs'
  | 'tokenizer-missing'
  | 'licence-missing'
  | 'hub-name'
  | 'hub-not-found'
  | 'hub-access'
  | 'hub-network'
  | 'hub-damaged'
  | 'hub-offline'
  | 'plan'
  | 'plan-version'
  | 'plan-open'
  | 'queue'
  | 'queue-package'
  | 'store'
  | 'store-package';

/** Refusals: a projection or tensor stays as it is, and the report says why. */
export const REFUSALS: Record<RefusalCode, DiagnosticKind> = {
  'weight-not-constant': { summary: 'the weight is computed at run time', remedy: 'export with constant folding' },
  'weight-overridable': {
    summary: 'the weight is also a graph input, so a caller may replace it',
    remedy: 'make it a constant with `initializerInputs` constant, or remove the input entry',
  },
  'weight-shared': { summary: 'the weight has another user that would keep it in float', remedy: 'none needed' },
  'weight-rank': { summary: 'the weight does not have rank 2', remedy: 'none' },
  'weight-dtype': { summary: 'the weight is not a float tensor', remedy: 'none' },
  'weight-range': {
    summary: 'scales or offsets of the weight are beyond the range of float16',
    remedy: 'scale the weight and its neighbours in the checkpoint, if it should be quantized',
  },
  'gemm-form': { summary: 'the Gemm is not a plain product: transA, alpha or beta', remedy: 'none' },
  'graph-output': { summary: 'a value inside the projection is a graph output', remedy: 'export without that output' },
  'product-form': { summary: 'the operator multiplies by a weight in a form that is not quantized', remedy: 'none' },
  'already-quantized': {
    summary: 'the projection is quantized already',
    remedy: 'start from the float export, or set `dequantizeSource`',
  },
  'no-gated-ffn': { summary: 'the product is not part of a gated feed-forward block', remedy: 'none' },
  'out-of-scope': { summary: 'the projection is outside the requested scope', remedy: 'widen `scope`' },
  'tied-head': { summary: 'the head shares its weight with the embedding', remedy: 'use `embeddingBits`' },
  'lm-head': { summary: 'the projection is the language-model head', remedy: 'use `embeddingBits`' },
  'expert-weights': { summary: 'the weight holds several experts', remedy: 'none' },
  excluded: { summary: 'an override of the recipe excludes it', remedy: 'change the override' },
};

/** Codes of refusals; `REFUSALS` has a sentence and a remedy for each. */
export type RefusalCode =
  | 'weight-not-constant'
  | 'weight-overridable'
  | 'weight-shared'
  | 'weight-rank'
  | 'weight-dtype'
  | 'weight-range'
  | 'gemm-form'
  | 'graph-output'
  | 'product-form'
  | 'already-quantized'
  | 'no-gated-ffn'
  | 'out-of-scope'
  | 'tied-head'
  | 'lm-head'
  | 'expert-weights'
  | 'excluded';

/** A problem with a code, a place and a sentence. */
export interface Diagnostic {
  readonly code: ErrorCode;
  readonly at: string;
  readonly message: string;
}

/** Error for bad input; the command line exits with code 2. Any other error is a bug of this tool, exit code 1. */
export class CompilerError extends Error implements Diagnostic {
  override readonly name = 'CompilerError';
  readonly code: ErrorCode;
  readonly at: string;

  constructor(code: ErrorCode, at: string, message: string) {
    super(withoutTemporary(message));
    this.code = code;
    this.at = withoutTemporary(at);
  }

  /** The sentence a user sees: what, where, what to do. */
  get sentence(): string {
    return `${asSentence(this.message)} [${this.code}] at ${this.at}; ${ERRORS[this.code].remedy}.`;
  }
}

/** A message at the beginning of a sentence. Some begin small, because they may follow another text; an identifier stays as it is. */
export const asSentence = (message: string): string =>
  message.replace(/^[a-z]+(?= )/, (word) => word[0]?.toUpperCase() + word.slice(1));

/** Throws a `CompilerError`; reads as an expression. */
export function fail(code: ErrorCode, at: string, message: string): never {
  throw new CompilerError(code, at, message);
}

/** True for a model that ONNX Runtime refused or failed to run, a user's or one of this tool's own. */
export function isRuntimeFailure(error: unknown): error is CompilerError {
  return error instanceof CompilerError && (error.code === 'runtime-failed' || error.code === 'internal-graph');
}
