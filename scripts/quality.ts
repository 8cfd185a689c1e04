/**
 * What each precision costs, by method and storage, of one model calibrated on one text and scored on another:
 *
 *   node dist/scripts/quality.js MODEL CALIBRATION_IDS HELD_IDS [--block 32] [--only storage|nesting|baselines|prefix] [--work FOLDER]
 *
 * `storage` compares float16 with compressed tables at blocks of 32, 64 and 128, `nesting` the nested set with sets of one
 * precision by the same solver, `baselines` with other methods, `prefix` with quantized inputs. Bits are stored bits per weight, tables included.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compile, evaluate, PRESETS, parseRecipe, type RecipeInput, silentContext } from '../src/index.js';

interface Row {
  readonly name: string;
  readonly recipe: RecipeInput;
}

interface Cell {
  readonly bits: number;
  readonly stored: number;
  readonly kl: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    block: { type: 'string', default: '32' },
    only: { type: 'string', default: 'storage,nesting,baselines' },
    work: { type: 'string' },
  },
});
const [model, calibration, held] = positionals;
if (model === undefined || calibration === undefined || held === undefined)
  throw new Error('MODEL CALIBRATION_IDS HELD_IDS');
const block = Number(values.block) as 32 | 64 | 128;
const common = { threads: cpus().length, memoryBytes: 8 * 2 ** 30 };
const context = silentContext();

const SETS: Readonly<Record<string, readonly Row[]>> = {
  storage: ([32, 64, 128] as const).flatMap((each) =>
    (['fp16', 'c8'] as const).map((tables) => ({
      name: `block ${each}, ${tables}`,
      recipe: { block: each, tables },
    })),
  ),
  nesting: [
    { name: 'nested', recipe: {} },
    ...([4, 3, 2] as const).map((bits) => ({ name: `int${bits} alone`, recipe: { bits: [bits] } })),
  ],
  baselines: [
    ...([4, 2] as const).flatMap((bits) => [
      { name: `RTN int${bits}`, recipe: { ...PRESETS['baseline-rtn'], bits: [bits] } },
      { name: `GPTQ int${bits}`, recipe: { ...PRESETS['baseline-gptq'], bits: [bits] } },
    ]),
    { name: 'sliced MinMax', recipe: PRESETS['baseline-sliced-minmax'] ?? {} },
    { name: 'MatGPTQ', recipe: PRESETS['baseline-matgptq'] ?? {} },
    { name: 'without text', recipe: PRESETS['data-free'] ?? {} },
    { name: 'fast', recipe: PRESETS['fast'] ?? {} },
    { name: 'best-int2', recipe: PRESETS['best-int2'] ?? {} },
  ],
  prefix: [
    { name: 'float', recipe: {} },
    { name: 'quantized at 2', recipe: { prefix: { bits: [2] } } },
    { name: 'quantized at 4, 3, 2', recipe: { prefix: {} } },
    { name: 'three quarters of it', recipe: { prefix: { share: 0.75 } } },
    { name: 'half of it', recipe: { prefix: { share: 0.5 } } },
    { name: 'damping .01', recipe: { prefix: { damping: 0.01 } } },
    { name: 'quantized at all', recipe: { prefix: { bits: [8, 6, 4, 3, 2] } } },
  ],
};

/** Compiles one recipe, scores it, and leaves nothing behind. */
async function measure({ name, recipe: input }: Row): Promise<readonly Cell[]> {
  const folder = mkdtempSync(join(tmpdir(), 'matquant-quality-'));
  try {
    const recipe = parseRecipe({ block, ...input }, name);
    const text = recipe.method === 'data-free' ? {} : { text: { ids: calibration as string } };
    const files = { model: model as string, output: join(folder, 'set'), name: 'm' };
    const work = values.work === undefined ? {} : { work: values.work };
    const { precisions } = await compile(
      { ...files, ...text, ...work, ...common, recipe, seed: 0, standalone: false, strict: false },
      context,
    );
    const candidates = recipe.bits.map((bits) => join(folder, 'set', `m_int${bits}.onnx`));
    const scores = await evaluate(
      { reference: files.model, candidates, text: { ids: held as string }, window: 512, ...common, speed: false },
      context,
    );
    return recipe.bits.map((bits, at) => ({
      bits,
      stored: precisions.find((each) => each.bits === bits)?.storedBitsPerWeight ?? Number.NaN,
      kl: scores.candidates[at]?.kl ?? Number.NaN,
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const columns = [8, 6, 4, 3, 2];
for (const set of values.only.split(',')) {
  process.stdout.write(`\n| ${set}: KL (stored bits) | ${columns.map((bits) => `int${bits}`).join(' | ')} |\n`);
  process.stdout.write(`| --- |${' --- |'.repeat(columns.length)}\n`);
  for (const row of SETS[set] ?? []) {
    const cells = await measure(row);
    const text = columns.map((bits) => {
      const cell = cells.find((each) => each.bits === bits);
      return cell === undefined ? '' : `${cell.kl.toPrecision(3)} (${cell.stored.toFixed(3)})`;
    });
    process.stdout.write(`| ${row.name} | ${text.join(' | ')} |\n`);
  }
}
process.exit(0);
