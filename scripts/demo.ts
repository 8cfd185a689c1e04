/** The demonstration: a real trained model becomes a family of quantized ones, with a table that says what each costs. */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { byteSize, significant, table } from '../src/cli/render.js';
import {
  type CompileResult,
  type Context,
  compile,
  type EvalResult,
  evaluate,
  PRESETS,
  parseRecipe,
  report,
  type SweepPoint,
  silentContext,
  sweep,
} from '../src/index.js';

const MODEL = 'fixtures/models/mistral-656k/model.onnx';
const TOKENIZER = 'fixtures/models/mistral-656k/tokenizer.json';
const CALIBRATION = 'fixtures/text/stories-calibration.txt';
const HELD = 'fixtures/text/stories-excerpt.txt';
const OUT = 'out/demo';
const THREADS = 2;

const text = (file: string) => ({ files: [file], tokenizer: TOKENIZER, jsonlField: 'text', bos: 'auto' as const });

async function main(): Promise<void> {
  const context = silentContext();
  rmSync(OUT, { recursive: true, force: true });
  mkdirSync(OUT, { recursive: true });
  console.log(`Compiling ${MODEL} (a trained Mistral of 656 thousand parameters) into one nested set…`);
  const recipe = parseRecipe({ ...PRESETS['best'], block: 32, window: 256 }, 'demo');
  const machine = { threads: THREADS, memoryBytes: 2 ** 32, seed: 0, standalone: false, strict: true };
  const compiled = await compile(
    { model: MODEL, output: OUT, name: 'model', recipe, text: text(CALIBRATION), ...machine },
    context,
  );
  console.log(`done in ${compiled.seconds.toFixed(1)} s. Evaluating every model on held-out stories…\n`);
  const candidates = [...compiled.precisions].reverse().map(({ bits }) => join(OUT, `model_int${bits}.onnx`));
  const scores = await evaluate(
    { reference: MODEL, candidates, text: text(HELD), window: 256, windows: 40, threads: THREADS },
    context,
  );
  console.log(tableOf(compiled, scores));
  writeFileSync(join(OUT, 'model.compile.json'), JSON.stringify(compiled));
  writeFileSync(join(OUT, 'stories.eval.json'), JSON.stringify(scores));
  console.log('\nSearching for a precision of each projection, at 2.5 and 3.5 bits on average…');
  for (const { averageBits, bytes, kl, evaluations } of await mixes(context))
    console.log(
      `  ${averageBits.toFixed(1)} bits: ${byteSize(bytes)}, KL ${significant(kl)} on the same stories, found in ${evaluations} runs`,
    );
  const { path } = await report({ folder: OUT }, context);
  console.log(`\nPage: ${path}`);
  console.log(
    `\nThe set is in ${OUT}: one data file whose prefix is each smaller model, and one small graph per precision.`,
  );
  for (const { path, bytes } of compiled.files)
    if (existsSync(path)) console.log(`  ${path.padEnd(32)} ${byteSize(bytes)}`);
}

/** Mixes that were searched for, on text that the solver saw; the page draws them beside uniform precisions and named shapes. */
async function mixes(context: Context): Promise<readonly SweepPoint[]> {
  const measure = { window: 256, original: MODEL, threads: THREADS, memoryBytes: 2 ** 32 };
  const { points } = await sweep(
    {
      set: join(OUT, 'model.json'),
      averageBits: [2.5, 3.5],
      methods: ['local'],
      search: { per: 'projection', measure: { ...measure, text: text(CALIBRATION), tokens: 1024 } },
      score: { ...measure, text: text(HELD), tokens: 4096 },
    },
    context,
  );
  return points.filter(({ kind }) => kind === 'search');
}

function tableOf(compiled: CompileResult, scores: EvalResult): string {
  const titles = ['graph', 'data prefix', 'bits/weight (FFN)', 'NLL', 'KL', 'top-1', 'tokens/s'];
  const { reference } = scores;
  const float = [
    'float',
    byteSize(reference.fileBytes),
    '-',
    '32',
    significant(reference.nll, 5),
    '0',
    '100 %',
    significant(reference.tokensPerSecond),
  ];
  const rows = [...compiled.precisions].reverse().map((precision, at) => {
    const score = scores.candidates[at];
    return [
      `int${precision.bits}`,
      byteSize(precision.bytes - precision.dataBytes),
      byteSize(precision.dataBytes),
      significant(precision.storedBitsPerWeight),
      significant(score?.nll ?? 0, 5),
      significant(score?.kl ?? 0),
      `${(100 * (score?.top1 ?? 0)).toFixed(1)} %`,
      significant(score?.tokensPerSecond ?? 0),
    ];
  });
  return table([{ title: 'model' }, ...titles.map((title) => ({ title, align: 'right' }) as const)], [float, ...rows]);
}

await main();
