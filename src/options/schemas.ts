/**
 * The options of every public function: one strict schema each, with types, ranges, defaults and a sentence for each option. The
 * command line takes its help and defaults from here.
 */
import { z } from 'zod';
import * as field from './fields.js';
import { AVERAGE, BITS, goal, METHODS, search } from './mix-fields.js';
import { sameAs, thresholds } from './verify-fields.js';

const { path, paths, whole, flag } = field;

/** What every run may be told of the machine. */
const machine = { threads: field.threads, memoryBytes: field.memoryBytes };
const run = { ...machine, seed: field.seed, work: field.work };
const folder = path.describe('Output folder of the set (default: NAME-matquant beside the model)');
const score = { window: field.window, windows: field.windows };
const overwrite = z.boolean().describe('Overwrite existing files that this tool did not write').exactOptional();
const text = field.modelText.exactOptional();

const compileOptions = z.strictObject({
  model: field.model,
  ...field.input,
  output: folder.exactOptional(),
  name: field.stem.describe("File name stem of the set (default: the model's)").exactOptional(),
  recipe: field.recipe,
  targetBytes: field.targetBytes,
  text,
  statistics: field.statistics,
  ...run,
  shards: field.shards,
  standalone: flag('Write one self-contained model per precision instead of the set'),
  strict: flag('Fail when a projection in scope stays float'),
  overwrite,
  provenance: path.describe('File to write: in-toto statement of sources and recipe').exactOptional(),
});

const plan = path.describe('Folder of a plan, or s3://BUCKET/PREFIX');
const seconds = (usual: number): z.ZodDefault<z.ZodNumber> => z.number().positive().max(86_400).default(usual);

const packaged = {
  for: z.array(z.enum(field.FORMATS)).min(1).describe('Write a folder that loads as it is'),
  chunkBytes: whole(1).describe('Most bytes of a data file for transformers.js').exactOptional(),
  float16: z.boolean().describe('Also write q4f16 and q2f16 for transformers.js on WebGPU').exactOptional(),
};

/** The schema of each function. */
export const OPTIONS: Readonly<Record<Verb, z.ZodObject>> = {
  inspect: z.strictObject({ model: field.model, ...field.input, recipe: field.recipe, targetBytes: field.targetBytes }),
  capture: z.strictObject({
    model: field.model,
    ...field.input,
    output: path.describe('Output folder of the statistics'),
    recipe: field.recipe,
    text,
    statistics: field.statistics,
    ...run,
    workDir: path.describe('Folder of temporary files').exactOptional(),
    overwrite,
  }),
  compile: compileOptions,
  compileFor: compileOptions.extend(packaged),
  work: z.strictObject({
    plan,
    unit: z
      .string()
      .min(1)
      .describe('I/N: every N-th unit of each kind; or ids of units, by commas (default: all)')
      .exactOptional(),
    threads: field.threads,
    memoryBytes: whole(field.LEAST_MEMORY)
      .describe('Memory of this worker; larger units are left to others (default: as planned)')
      .exactOptional(),
    workDir: path
      .describe('Folder of temporary files and downloads (default: that of the plan, a cache)')
      .exactOptional(),
    queue: z
      .string()
      .min(1)
      .describe('Take units from a queue: redis://HOST:PORT or postgres://HOST/DATABASE')
      .exactOptional(),
    once: flag('Run one unit and exit'),
    retry: flag('Try units again that have failed three times'),
    pollSeconds: seconds(2).describe('Seconds between two looks at the plan while there is nothing to run'),
    leaseSeconds: seconds(60).describe('Seconds without a sign of life until a unit of another worker is taken over'),
  }),
  merge: z.strictObject({
    plan,
    output: folder.exactOptional(),
    threads: field.threads,
    workDir: path.describe('Folder of downloads from an object store (default: a cache)').exactOptional(),
    overwrite,
    provenance: path.describe('File to write: in-toto statement of sources and recipe').exactOptional(),
  }),
  status: z.strictObject({ plan }),
  emit: z.strictObject({
    plan,
    for: z.enum(['k8s', 'slurm', 'github']).describe('Engine: Kubernetes, Slurm or GitHub Actions'),
    workers: whole(1, 4096)
      .describe('Most workers at a time (default: as many as units can use, at most 8)')
      .exactOptional(),
    threads: whole(1, field.MOST_THREADS).default(4).describe('Processors of each worker'),
    image: z.string().min(1).describe('Container image with matquant, for Kubernetes').exactOptional(),
    claim: z.string().min(1).describe('Volume claim that holds the plan, for Kubernetes').default('matquant'),
    secret: z
      .string()
      .min(1)
      .describe('Secret with AWS_* variables of an object store, for Kubernetes')
      .default('matquant'),
    output: path.describe('File to write (default: the text is printed)').exactOptional(),
    overwrite,
  }),
  plan: compileOptions.omit({ provenance: true }).extend({
    output: path.describe('Folder of the plan, or s3://BUCKET/PREFIX'),
    for: packaged.for.exactOptional(),
  }),
  lambda: z.strictObject({
    model: field.model,
    ...field.input,
    recipe: field.recipe,
    candidates: z
      .array(z.record(z.string().regex(/^[2-8]$/), z.number().nonnegative()))
      .min(1)
      .describe('Weights by precision, one object per candidate'),
    text: field.modelText,
    kept: whole(1).default(16).describe('Number of held-out windows to score on'),
    ...run,
  }),
  slice: z.strictObject({
    set: field.set,
    bits: BITS.describe('Precision to extract, such as 4'),
    output: path.describe('ONNX file to write'),
    standalone: flag('Write a self-contained model with codes in the format of the runtime'),
    slice: z
      .enum(['prefix', 'paper', 'extra'])
      .default('prefix')
      .describe('How codes are cut; paper and extra need a standalone model'),
    format: z
      .enum(['matmulnbits', 'qdq'])
      .default('matmulnbits')
      .describe('Operators of a standalone model: MatMulNBits, or DequantizeLinear of standard ONNX'),
    float16: z.boolean().describe('Compute in float16, caches included, for WebGPU').exactOptional(),
    text: field.text.exactOptional(),
    overwrite,
  }),
  mix: z.strictObject({
    set: field.set,
    goal,
    search: z.strictObject({ ...search, measure: field.meter.exactOptional() }).exactOptional(),
    output: path
      .describe('ONNX file to write (default: next to the set); in another folder it gets its own data file')
      .exactOptional(),
    standalone: flag('Write a self-contained model'),
    saveBits: path.describe('Also write the chosen precisions as a bits file').exactOptional(),
    overwrite,
  }),
  sweep: z.strictObject({
    set: field.set,
    averageBits: z.array(AVERAGE).min(1).default([2.5, 3, 3.5, 4]).describe('Average bits to search at'),
    methods: z
      .array(z.enum(METHODS))
      .min(1)
      .default(['greedy', 'dp', 'local'])
      .describe('Search methods to run at each average'),
    search: z.strictObject({ ...search, measure: field.meter }),
    score: field.scoreMeter.describe('Text to score on (default: the text after the search text)').exactOptional(),
    output: path.describe('JSON file to write (default: NAME.sweep.json beside the set)').exactOptional(),
    overwrite,
  }),
  append: z.strictObject({
    set: path.describe('The .json of a set with a shortened data file'),
    bits: BITS.describe('Highest precision to run afterwards'),
    from: path.describe('A longer data file of the same set'),
  }),
  evaluate: z.strictObject({
    reference: path.describe('ONNX model, folder or hf:ORG/NAME to compare with'),
    ...field.input,
    candidates: paths.default([]).describe('ONNX models to score'),
    text: field.modelText,
    ...score,
    ...machine,
    speed: z.boolean().default(true).describe('Also measure tokens per second'),
  }),
  tasks: z.strictObject({
    reference: path.describe('ONNX model, folder or hf:ORG/NAME to compare with'),
    ...field.input,
    candidates: paths.default([]).describe('ONNX models to score'),
    tasks: z.array(path).min(1).describe('Files of multiple-choice questions, one per line'),
    limit: whole(1).describe('Maximum number of questions per task (default: all)').exactOptional(),
    tokenizer: field.tokenizer.exactOptional(),
    bos: field.bos,
    ...machine,
  }),
  verify: z.strictObject({
    original: path.describe('ONNX model, folder or hf:ORG/NAME to compare with').exactOptional(),
    ...field.input,
    candidate: path.describe('ONNX model to check, or a set of them (.json or folder)').exactOptional(),
    thresholds,
    budget: path.describe('File of limits by model, matquant.budget.json').exactOptional(),
    digests: paths.describe('Sets (.json or folder) or models whose digests are checked').exactOptional(),
    sameAs,
    text,
    window: field.window,
    windows: z
      .union([z.literal('auto'), whole(1)], { error: 'takes auto or a whole number of at least 1' })
      .describe('Most windows to score, or auto: until verdicts are clear (default: all)')
      .exactOptional(),
    unclear: z
      .enum(['value', 'pass', 'fail'])
      .default('value')
      .describe('What an unclear verdict counts as: the value decides, pass or fail'),
    tasks: paths.describe('Multiple-choice questions, for limits on accuracy').exactOptional(),
    tokenizer: field.tokenizer.exactOptional(),
    ...machine,
    junit: path.describe('JUnit file to write').exactOptional(),
    sarif: path.describe('SARIF file to write').exactOptional(),
    summary: path.describe('Markdown file to write, with a picture beside it').exactOptional(),
    overwrite,
  }),
  compare: z.strictObject({
    base: path.describe('Set (.json or folder), model, or saved output of eval --json'),
    head: path.describe('The same kind of thing, with the change'),
    model: path.describe('Float model to compare with; needed for quality').exactOptional(),
    text,
    ...score,
    speed: z.boolean().default(true).describe('Measure tokens per second too'),
    ...machine,
    markdown: path.describe('Markdown file to write, for a comment').exactOptional(),
    overwrite,
  }),
  report: z.strictObject({
    folder: path.describe('Folder written by compile, or the .json of a set'),
    output: path.describe('HTML file to write (default: NAME.report.html in the folder)').exactOptional(),
    evaluations: paths.describe('Saved output of eval --json (default: *.eval.json in the folder)').exactOptional(),
    sweeps: paths.describe('Files that sweep wrote (default: *.sweep.json in the folder)').exactOptional(),
    run: path
      .describe('Saved output of compile --json, for times (default: NAME.compile.json in the folder)')
      .exactOptional(),
    overwrite,
  }),
};

export type Verb =
  | 'inspect'
  | 'capture'
  | 'compile'
  | 'compileFor'
  | 'lambda'
  | 'slice'
  | 'mix'
  | 'sweep'
  | 'append'
  | 'evaluate'
  | 'tasks'
  | 'verify'
  | 'compare'
  | 'report'
  | 'plan'
  | 'work'
  | 'merge'
  | 'status'
  | 'emit';
