/**
 * The options of every public function: one strict schema each, with types, ranges, defaults and a sentence for each option. The
 * command line takes its help and defaults from here.
 */
import { z } from 'zod';
import * as field from './fields.js';

const { path, paths, whole, flag } = field;

/** What every run may be told of the machine. */
const machine = { threads: field.threads, memoryBytes: field.memoryBytes };
const run = { ...machine, seed: field.seed, work: field.work };
const folder = path.describe('Folder to write the set into');
const score = { window: field.window, windows: field.windows };
const overwrite = z.boolean().describe('Replace files of the same names that this tool did not write').exactOptional();
const BITS = whole(2, 8);
const AVERAGE = z.number().min(1).max(8);
const text = field.text.exactOptional();

const search = {
  per: z.enum(['layer', 'projection']).default('layer').describe('What gets a precision of its own'),
  method: z
    .enum(['dp', 'greedy', 'local', 'evolution'])
    .describe('How to choose (default: local with text, else dp)')
    .exactOptional(),
  shape: z
    .enum(['pyramid', 'reverse', 'increasing', 'decreasing'])
    .describe('A shape of the MatQuant paper in place of a search, for comparison')
    .exactOptional(),
  bits: z
    .array(BITS)
    .min(1)
    .refine((bits) => new Set(bits).size === bits.length, { error: 'takes each precision once' })
    .describe('Precisions to choose from, such as 2,3,4 (default: all of the set)')
    .exactOptional(),
  fixed: z
    .array(z.strictObject({ match: z.string(), bits: BITS }))
    .describe('Projections whose id matches a pattern keep these bits')
    .exactOptional(),
  evaluations: whole(1).default(200).describe('Most mixes that a search runs'),
  sensitivities: paths.describe('More files of sensitivities, beside NAME.sensitivity.json').exactOptional(),
  seed: field.seed,
};

const goal = z
  .strictObject({
    averageBits: AVERAGE.describe('Average bits of a code as it is stored, such as 2.5').exactOptional(),
    targetBytes: whole(1).describe('Size of the graph and of all that it reads, such as 820MB').exactOptional(),
    maxKl: z
      .number()
      .nonnegative()
      .describe('The smallest mix with at most this KL, nats per position')
      .exactOptional(),
    bitsFile: path.describe('JSON table from layer or projection to bits').exactOptional(),
  })
  .refine((value) => Object.keys(value).length === 1, {
    error: 'takes exactly one of averageBits, targetBytes, maxKl and bitsFile',
  });

const thresholds = z
  .strictObject({
    maxKl: z.number().nonnegative().describe('Most KL to the original, nats per position').exactOptional(),
    maxNllIncrease: z
      .number()
      .nonnegative()
      .describe('Most added negative log-likelihood, nats per token')
      .exactOptional(),
    minTop1: z.number().min(0).max(1).describe('Least share of equal likeliest tokens, 0 to 1').exactOptional(),
    maxSize: whole(1).describe('Most bytes of all files of the candidate, such as 820MB').exactOptional(),
  })
  .default({});

/** The schema of each function. */
export const OPTIONS: Readonly<Record<Verb, z.ZodObject>> = {
  inspect: z.strictObject({ model: field.model, recipe: field.recipe, targetBytes: field.targetBytes }),
  capture: z.strictObject({
    model: field.model,
    output: path.describe('Folder to write the statistics into'),
    recipe: field.recipe,
    text,
    statistics: field.statistics,
    ...run,
    workDir: path.describe('Folder of temporary files').exactOptional(),
    overwrite,
  }),
  compile: z.strictObject({
    model: field.model,
    output: folder,
    name: field.stem.describe("File name stem of the set (default: the model's)").exactOptional(),
    recipe: field.recipe,
    targetBytes: field.targetBytes,
    text,
    statistics: field.statistics,
    ...run,
    standalone: flag('Write one self-contained model per precision instead of the set'),
    strict: flag('Fail when a projection in scope stays float'),
    overwrite,
    provenance: path.describe('File to write: in-toto statement of sources and recipe').exactOptional(),
  }),
  lambda: z.strictObject({
    model: field.model,
    recipe: field.recipe,
    candidates: z
      .array(z.record(z.string().regex(/^[2-8]$/), z.number().nonnegative()))
      .min(1)
      .describe('Weights by precision, one map a candidate'),
    text: field.text,
    kept: whole(1).default(16).describe('Windows kept back to score on'),
    ...run,
  }),
  slice: z.strictObject({
    set: field.set,
    bits: BITS.describe('Precision to take, such as 4'),
    output: path.describe('ONNX file to write'),
    standalone: flag('Pack the codes as the runtime wants them: no work at load'),
    slice: z
      .enum(['prefix', 'paper', 'extra'])
      .default('prefix')
      .describe('How the codes are cut; all but prefix need a standalone model'),
    format: z
      .enum(['matmulnbits', 'qdq'])
      .default('matmulnbits')
      .describe('Operators of a standalone model: MatMulNBits, or DequantizeLinear of standard ONNX'),
    overwrite,
  }),
  mix: z.strictObject({
    set: field.set,
    goal,
    search: z.strictObject({ ...search, measure: field.meter.exactOptional() }).exactOptional(),
    output: path
      .describe('ONNX file to write (default: beside the set); in another folder it gets a data file of what it reads')
      .exactOptional(),
    standalone: flag('Write a self-contained model'),
    saveBits: path.describe('Write the precisions as a bits file too').exactOptional(),
    overwrite,
  }),
  sweep: z.strictObject({
    set: field.set,
    averageBits: z.array(AVERAGE).min(1).default([2.5, 3, 3.5, 4]).describe('Averages to search at'),
    methods: z
      .array(z.enum(['dp', 'greedy', 'local', 'evolution']))
      .min(1)
      .default(['greedy', 'dp', 'local'])
      .describe('Searches at each average'),
    search: z.strictObject({ ...search, measure: field.meter }),
    score: field.scoreMeter.describe('Text to score on (default: the text goes on)').exactOptional(),
    output: path.describe('JSON file to write (default: NAME.sweep.json beside the set)').exactOptional(),
    overwrite,
  }),
  append: z.strictObject({
    set: path.describe('The .json of the set whose data file is short'),
    bits: BITS.describe('Highest precision that is to run afterwards'),
    from: path.describe('A longer data file of the same set'),
  }),
  evaluate: z.strictObject({
    reference: path.describe('ONNX model to compare with'),
    candidates: paths.default([]).describe('ONNX models to score'),
    text: field.text,
    ...score,
    ...machine,
    speed: z.boolean().default(true).describe('Measure tokens per second too'),
  }),
  tasks: z.strictObject({
    reference: path.describe('ONNX model to compare with'),
    candidates: paths.default([]).describe('ONNX models to score'),
    tasks: z.array(path).min(1).describe('Files of multiple-choice questions, one a line'),
    limit: whole(1).describe('Most questions of each task (default: all)').exactOptional(),
    tokenizer: field.tokenizer,
    bos: field.bos,
    ...machine,
  }),
  verify: z.strictObject({
    original: path.describe('ONNX model to compare with').exactOptional(),
    candidate: path.describe('ONNX model to check, or a set of them (.json or folder)').exactOptional(),
    thresholds,
    budget: path.describe('File of limits by model, matquant.budget.json').exactOptional(),
    digests: paths
      .describe('Sets (.json or folder) or models whose files are checked against their digests')
      .exactOptional(),
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
  | 'lambda'
  | 'slice'
  | 'mix'
  | 'sweep'
  | 'append'
  | 'evaluate'
  | 'tasks'
  | 'verify'
  | 'compare'
  | 'report';
