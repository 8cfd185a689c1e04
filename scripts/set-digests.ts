/**
 * SHA-256 of every file that compilations of the fixtures write, one line each, with settings so small that it takes minutes. Two
 * lists made on either side of a change show whether any byte of a set, a model or a report has changed.
 *   node dist/scripts/set-digests.js [CASE…] > digests.txt
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { compile } from '../src/compile/index.js';
import { CompilerError } from '../src/diagnostics.js';
import { digestOfWhole } from '../src/files/range-digests.js';
import { PRESETS, parseRecipe, presetOf, type RecipeInput } from '../src/recipe/index.js';

const stories = 'fixtures/models/mistral-656k';
const gemma = 'fixtures/models/gemma3-tiny';
const small: RecipeInput = { tokens: 128, window: 16, rounds: 1, sweeps: 1 };
const steps = { steps: 3, kept: 2, every: 1, patience: 2, batch: 32 };
const distill = { ...steps, bits: [2, 4] as const, vocabulary: 300 };
const train = { steps: 2, batch: 32 };

interface Case {
  readonly folder: string;
  readonly recipe: RecipeInput;
  readonly text?: boolean;
  readonly standalone?: boolean;
}

/** A preset with few steps. */
function shrunk(name: string): RecipeInput {
  const recipe = presetOf(name);
  return {
    ...small,
    ...recipe,
    ...(recipe.distill !== undefined && { distill: { ...recipe.distill, ...steps, vocabulary: 300 } }),
    ...(recipe.qat !== undefined || recipe.method === 'qat' ? { qat: { ...recipe.qat, ...steps } } : {}),
    ...((recipe.train !== undefined && recipe.train.steps !== 0) ||
    ((recipe.method === 'matquant' || recipe.method === 'omniquant') && recipe.train === undefined)
      ? { train: { ...recipe.train, ...train } }
      : {}),
  };
}

const CASES: Readonly<Record<string, Case>> = {
  ...Object.fromEntries(
    Object.keys(PRESETS).map((name): [string, Case] => [name, { folder: stories, recipe: shrunk(name) }]),
  ),
  'data-free without text': { folder: stories, recipe: { method: 'data-free' }, text: false },
  'data-free gemma': { folder: gemma, recipe: { method: 'data-free' }, text: false },
  'best gemma': { folder: gemma, recipe: { ...small, method: 'best' } },
  'deploy-int4 gemma': { folder: gemma, recipe: shrunk('deploy-int4') },
  bias: { folder: stories, recipe: { ...small, method: 'best', distill: { ...distill, learn: ['tables', 'bias'] } } },
  codes: { folder: stories, recipe: { ...small, method: 'best', distill: { ...distill, learn: ['tables', 'codes'] } } },
  'codes fp16': {
    folder: stories,
    recipe: {
      ...small,
      method: 'best',
      tables: 'fp16',
      distill: { ...distill, learn: ['tables', 'codes'], codes: { bits: [2, 4], near: 8, rate: 0.25 } },
    },
  },
  'tuned and distilled': {
    folder: stories,
    recipe: { ...small, method: 'best', train: { ...train, learn: ['tables'], prefix: 'quantized' }, distill },
  },
  'quantized prefix': { folder: stories, recipe: { ...small, method: 'best', prefix: {} } },
  'explicit transform': {
    folder: stories,
    recipe: {
      ...shrunk('paper-matquant-gemma'),
      train: { ...train, learn: ['clip', 'scale', 'shift'], explicit: true },
    },
  },
  'standalone best': { folder: stories, recipe: { ...small, method: 'best' }, standalone: true },
  'standalone deploy-int4': { folder: stories, recipe: shrunk('deploy-int4'), standalone: true },
  'standalone best+': { folder: stories, recipe: { ...small, method: 'best', distill }, standalone: true },
  'standalone gemma': { folder: gemma, recipe: { ...small, method: 'best' }, standalone: true },
  'standalone tied': { folder: stories, recipe: shrunk('baseline-matgptq'), standalone: true },
};

const wanted = process.argv.slice(2);
for (const [name, each] of Object.entries(CASES))
  if (wanted.length === 0 || wanted.includes(name)) await show(name, each);

async function show(name: string, { folder, recipe, text = true, standalone = false }: Case): Promise<void> {
  const output = mkdtempSync(join(tmpdir(), 'digests-'));
  const started = performance.now();
  try {
    const ids = {
      files: ['fixtures/text/stories-calibration.txt'],
      tokenizer: `${folder}/tokenizer.json`,
      jsonlField: 'text',
      bos: 'auto',
    } as const;
    const { files } = await compile({
      model: join(folder, 'model.onnx'),
      output: join(output, 'set'),
      name: 'm',
      recipe: parseRecipe(recipe),
      ...(text && { text: ids }),
      standalone,
      threads: 2,
      memoryBytes: 2e9,
      seed: 1,
    });
    for (const path of files.map((file) => file.path).sort())
      console.log(`${name} | ${basename(path)} | ${digestOfWhole(path)}`);
  } catch (error) {
    if (!(error instanceof CompilerError)) throw error;
    console.log(`${name} | ${error.code}: ${error.message}`);
  } finally {
    rmSync(output, { recursive: true, force: true });
    console.error(`${name}: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  }
}
