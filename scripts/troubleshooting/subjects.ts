/** Usual causes of each code, by subject: what docs/troubleshooting.md says beyond `ERRORS` and `REFUSALS`, which have meaning and remedy. */
import type { ErrorCode, RefusalCode } from '../../src/diagnostics.js';

/** A section of the page: the codes in the order of its table, with the usual cause of each. */
export interface Subject<Code extends string> {
  readonly title: string;
  readonly causes: Readonly<Partial<Record<Code, string>>>;
}

export const ERROR_SUBJECTS: readonly Subject<ErrorCode>[] = [
  {
    title: 'Options, recipes and other input files',
    causes: {
      'bad-usage':
        'A misspelt flag or value, a missing argument, two options that exclude each other, or an option that needs text or a tokenizer beside it.',
      recipe: 'A misspelt field or preset, a value out of range, or fields that contradict each other.',
      'bits-file':
        'The list was made for a model with another number of layers, or asks for a precision that the set lacks.',
      budget: 'A misspelt model name or limit. An editor shows the place with the published schema.',
      'report-input':
        'A log or text table instead of the line that a command prints with --json, or results of another set.',
      'file-missing': 'A path relative to another folder, or a file that was moved.',
    },
  },
  {
    title: 'Finding the model',
    causes: {
      'no-graph': 'The folder has safetensors or GGUF weights only, or quantized graphs only.',
      'several-graphs': 'A repository with float graphs for several processors; the message lists them.',
      'hub-name': 'A full address instead of the name, or a name without its organization.',
      'hub-not-found': 'A typing error, a renamed repository, or a private one read without a token.',
      'hub-access':
        'A gated model (Gemma, some Mistral models) whose terms were not accepted by the owner of the token.',
      'hub-network': 'No network, a proxy, or a mirror in HF_ENDPOINT that is down.',
      'hub-damaged': 'A proxy or mirror that changes or cuts files.',
      'hub-offline': 'HF_HUB_OFFLINE=1 before the first download, or another HF_HOME than at the first download.',
      'licence-missing':
        'A conversion that was uploaded without the licence of its base model. This is a warning; the command goes on.',
    },
  },
  {
    title: 'The ONNX file',
    causes: {
      'not-onnx': 'A Git LFS pointer, a web page saved as .onnx, or a file of another format.',
      truncated: 'An interrupted copy or download.',
      'external-missing': 'The .onnx file was copied without its .onnx_data or .onnx.data files.',
      'external-short': 'An interrupted download, or the data file of another export.',
      'external-path': 'An export that names its data by an absolute path or by a folder above.',
      'external-range': 'An exporter that wrote a wrong offset.',
      'external-overlap': 'A tool that rewrote the data file without renewing the offsets.',
      'tensor-size': 'A tool that changed a shape and not the data, or the data file of another export.',
      'unknown-dtype': 'Element types newer than this version, or strings where weights are expected.',
      'message-too-large': 'A model above 2 GiB in one file, which protobuf does not allow.',
      'too-deep': 'A damaged or hostile file.',
      'duplicate-name': 'Graphs that were joined without renaming.',
      'unknown-value': 'A graph that was cut, or a name that was changed in one place only.',
      'cyclic-graph': 'A graph that was edited by hand or by a faulty optimizer.',
      'invalid-graph':
        'A graph that was edited by hand: no operator set, an attribute given twice, a node without an operator.',
      'local-function': 'A function that calls itself, or one whose attributes are not known at export.',
      'not-finite':
        'A checkpoint that diverged in training, or a conversion to float16 that overflowed. The message names the element.',
      'input-changed': 'A download or an export that was still writing.',
    },
  },
  {
    title: 'What the model is',
    causes: {
      'no-ffn':
        'A model without gated feed-forward blocks (GPT-2, BERT), a quantized one, or experts in a form that is not taken.',
      'already-quantized': 'A q4, q8 or int4 file was named instead of the float one beside it.',
      'weight-overridable': 'An export of IR version 3 or older, or one with keep_initializers_as_inputs.',
      'unsupported-model':
        'Inputs beside token ids, mask, positions and cache; logits of another shape; or, for training, an operator that has no gradient rule.',
      'capture-float64':
        'Fused operators (GroupQueryAttention and others), which ONNX Runtime has for float32 and float16 only.',
      'strict-skipped': 'A projection with a reason of the last table. `matquant inspect` lists all of them.',
      'scale-range': 'A block whose weights are all very small or very large.',
      'float16-range':
        'Keys or values of a layer that reach more than 8,188; activations that large stay float32, caches cannot.',
      'unsupported-target':
        'A precision, a block size or a data type that the runtime has no kernel for; [runtimes](runtimes.md) says from which version on.',
      memory: 'A projection with very many inputs, with one scale per row.',
    },
  },
  {
    title: 'Text and tokenizer',
    causes: {
      'empty-text':
        'A file that is shorter than one window, a wrong `--jsonl-field`, or too little text to hold some out.',
      'bad-ids': 'The tokenizer of another model, or one whose added tokens are beyond the vocabulary of the export.',
      'bad-tokenizer': 'A SentencePiece file (tokenizer.model) in the place of tokenizer.json.',
      'tokenizer-missing': 'The graph is in a folder of its own, without the tokenizer files of the model.',
      statistics: 'The folder was captured from another export, with other options, or twice from the same text.',
      'statistics-weights':
        'The folder was captured without `--token-weights fisher` or with other groups than the recipe has, or folders of both kinds are added.',
      numeric: 'Very little text, or inputs of a projection that are always zero.',
    },
  },
  {
    title: 'Running and checking models',
    causes: {
      'runtime-failed':
        'An operator or form that this version of ONNX Runtime lacks, an external data file that was moved, or a model that is damaged.',
      'internal-graph': 'An operator that ONNX Runtime runs in the whole model and not in a part of it.',
      parity: 'A weight or activation that overflows in the arithmetic of the graph.',
      'levels-differ':
        'A graph that was emitted by an early version, or an optimizer of ONNX Runtime that changes results.',
      'not-folded': 'A projection above the size that ONNX Runtime folds when it loads a model.',
      'memory-bound':
        'The limit of --memory is below what the largest group of projections or the training needs; `matquant inspect` estimates it.',
    },
  },
  {
    title: 'Sets',
    causes: {
      'not-a-set':
        'A graph or another JSON file instead of the manifest, a folder without a set, or a graph that was edited.',
      damaged: 'A file that was edited or copied in part, or files of two compilations in one folder.',
      'precision-missing': 'A data file that was cut after a smaller precision on purpose, or a copy that ended early.',
      'no-precision': 'The set was compiled with fewer precisions than are asked for.',
      'not-comparable': 'Sets of two models or two recipes.',
    },
  },
  {
    title: 'Output and work folders',
    causes: {
      'output-exists': 'A file or folder of this name that another tool wrote, or an output that is also an input.',
      'disk-full': 'Statistics and activations of calibration text need room in the temporary folder (TMPDIR).',
      'work-folder': 'A read-only or missing folder.',
      'damaged-file': 'A file of a work folder that was edited, or a disk that fails.',
    },
  },
  {
    title: 'Plans, workers, queues and object stores',
    causes: {
      plan: 'A wrong path, or a folder that is not mounted on this machine.',
      'plan-version': 'Machines with two versions of this package.',
      'plan-open': '`merge` before the workers are done, or a unit that failed; `matquant status` names it.',
      queue: 'The server is not running, refuses the password, or is too old.',
      'queue-package': 'Queues are optional, and their packages are not installed with this one.',
      store: 'No such bucket, no permission, a variable that is not set, or a server that does not answer.',
      'store-package': 'Object stores are optional, and their client is not installed with this one.',
    },
  },
];

export const REFUSAL_SUBJECT: Subject<RefusalCode> = {
  title: 'Why a projection stays float',
  causes: {
    'weight-not-constant': 'An export without constant folding, or a weight that is passed as an input.',
    'weight-overridable': 'An export of IR version 3 or older, or one with keep_initializers_as_inputs.',
    'weight-shared': 'A weight that is also read by an operator which needs floats.',
    'weight-rank': 'A weight with more or fewer than two dimensions.',
    'weight-dtype': 'A product of integers.',
    'weight-range': 'A block whose weights are all very small or very large.',
    'gemm-form': 'A Gemm or FusedMatMul that scales or transposes its input.',
    'graph-output': 'A debugging export that returns inner values.',
    'product-form': 'A convolution, a recurrent layer, or a weight on the left side of the product.',
    'already-quantized': 'The source is quantized in part.',
    'no-gated-ffn': 'Routers, low-rank branches, and projections for vision or audio.',
    'out-of-scope': 'Attention projections, with the scope that most presets have.',
    'tied-head': 'Gemma and other models with tied embeddings.',
    'lm-head': 'Models whose head has a weight of its own.',
    'expert-weights': 'Experts whose matrices are looked up token by token, or in an operator that is not taken apart.',
    excluded: 'An entry of `overrides` in the recipe.',
  },
};
