/**
 * Compares methods on one model: each is compiled, sliced where it must be, and scored on held text; KL to float per precision.
 *
 *   npm run bench -- --model M.onnx --calibration IDS.jsonl --held IDS.jsonl [--block 32] [--only best,single]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { significant, table } from '../src/cli/render.js';
import { compile, evaluate, PRESETS, parseRecipe, type RecipeInput, silentContext, slice } from '../src/index.js';

const BITS = [8, 6, 4, 3, 2] as const;
type Bits = (typeof BITS)[number];

/** A row of the table: a recipe that gives all its precisions at once, or one recipe per precision. */
interface Method {
  readonly recipe: RecipeInput;
  readonly bits: readonly Bits[];
  readonly single?: boolean;
  /** Slices that are no prefix are cut from the set. */
  readonly cut?: 'paper' | 'extra';
}

/** A preset of the papers; int6 and int3 are cut from the same codes. */
const paper = (name: string, cut: 'paper' | 'extra' = 'paper'): Method => ({
  recipe: PRESETS[name] ?? {},
  bits: BITS,
  cut,
});

const LEVEL = { 8: 1, 4: 1, 2: 1 };

const stepped = (method: Method, train: NonNullable<RecipeInput['train']>): Method => ({
  ...method,
  recipe: { ...method.recipe, train },
});
/** Ranges from the grid, and no step after it. */
const searched = (method: Method): Method => stepped(method, { start: 'grid', steps: 0 });

const METHODS: Readonly<Record<string, Method>> = {
  rtn: { recipe: PRESETS['baseline-rtn'] ?? {}, bits: BITS, single: true },
  gptq: { recipe: PRESETS['baseline-gptq'] ?? {}, bits: BITS, single: true },
  single: { recipe: { method: 'best' }, bits: [4, 2], single: true },
  'sliced-minmax': { recipe: PRESETS['baseline-sliced-minmax'] ?? {}, bits: BITS, cut: 'paper' },
  matgptq: { recipe: PRESETS['baseline-matgptq'] ?? {}, bits: [8, 4, 2], cut: 'paper' },
  omniquant: { recipe: PRESETS['paper-omniquant-4'] ?? {}, bits: [8, 4, 2], single: true },
  'omniquant + shifts': stepped(
    { recipe: PRESETS['paper-omniquant-4'] ?? {}, bits: [8, 4, 2], single: true },
    { learn: ['clip', 'scale', 'shift'], explicit: true },
  ),
  'matquant .1 + shifts': stepped(paper('paper-matquant-gemma'), { learn: ['clip', 'shift'], explicit: true }),
  'matquant .1': paper('paper-matquant-gemma'),
  'matquant .4': paper('paper-matquant-mistral'),
  'matquant 1': { ...paper('paper-matquant-gemma'), recipe: { ...PRESETS['paper-matquant-gemma'], lambda: LEVEL } },
  codistill: paper('paper-codistill'),
  'single precision': stepped(paper('paper-single-precision'), {}),
  'extra precision': stepped(paper('paper-extra-precision', 'extra'), {}),
  'grid omniquant': searched({ recipe: PRESETS['paper-omniquant-4'] ?? {}, bits: BITS, single: true }),
  'grid .1': searched(paper('paper-matquant-gemma')),
  'grid .4': searched(paper('paper-matquant-mistral')),
  'grid 1': searched({ ...paper(''), recipe: { ...PRESETS['paper-matquant-gemma'], lambda: LEVEL } }),
  'grid single precision': paper('paper-single-precision'),
  'grid extra precision': paper('paper-extra-precision', 'extra'),
  'grid + steps .1': stepped(paper('paper-matquant-gemma'), { start: 'grid' }),
  'grid + steps single precision': stepped(paper('paper-single-precision'), { start: 'grid' }),
  'grid + steps extra precision': stepped(paper('paper-extra-precision', 'extra'), { start: 'grid' }),
  'gram omniquant': stepped(
    { recipe: PRESETS['paper-omniquant-4'] ?? {}, bits: [8, 4, 2], single: true },
    { objective: 'gram' },
  ),
  'gram .1': stepped(paper('paper-matquant-gemma'), { objective: 'gram' }),
  'gram single precision': stepped(paper('paper-single-precision'), { objective: 'gram' }),
  'gram extra precision': stepped(paper('paper-extra-precision', 'extra'), { objective: 'gram' }),
  'grid + gram single precision': stepped(paper('paper-single-precision'), { start: 'grid', objective: 'gram' }),
  'grid + gram extra precision': stepped(paper('paper-extra-precision', 'extra'), { start: 'grid', objective: 'gram' }),
  'data-free': { recipe: { method: 'data-free' }, bits: BITS },
  fast: { recipe: PRESETS['fast'] ?? {}, bits: BITS },
  best: { recipe: { method: 'best' }, bits: BITS },
  tuned: { recipe: PRESETS['tuned'] ?? {}, bits: BITS },
  'best fp16 tables': { recipe: { method: 'best', tables: 'fp16' }, bits: BITS },
};

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    calibration: { type: 'string' },
    held: { type: 'string' },
    block: { type: 'string', default: '32' },
    only: { type: 'string' },
    accuracy: { type: 'string', default: '4' },
    work: { type: 'string' },
    tokens: { type: 'string', default: '32768' },
  },
});
const { model = '', calibration = '', held = '' } = values;
const context = silentContext();
const folder = mkdtempSync(join(tmpdir(), 'matquant-bench-'));
const machine = {
  threads: 2,
  memoryBytes: 8 * 2 ** 30,
  seed: 0,
  standalone: false,
  strict: false,
  work: values.work ?? join(folder, 'work'),
};

/** Compiles one set and returns the graph of each of its precisions. */
async function graphsOf(name: string, method: Method, bits: readonly Bits[]): Promise<ReadonlyMap<Bits, string>> {
  const block = Number(values.block) as 32;
  const accuracyLevel = Number(values.accuracy) as 0 | 4;
  const recipe = parseRecipe({ ...method.recipe, block, bits, accuracyLevel, tokens: Number(values.tokens) }, name);
  const output = join(folder, `${name}-${bits.join('')}`.replaceAll(' ', '-'));
  await compile({ model, output, name: 'model', recipe, text: { ids: calibration }, ...machine }, context);
  if (method.cut === undefined) return new Map(bits.map((each) => [each, join(output, `model_int${each}.onnx`)]));
  const set = join(output, 'model.json');
  for (const each of bits)
    await slice(
      {
        set,
        bits: each,
        output: join(output, `paper${each}.onnx`),
        standalone: true,
        slice: method.cut,
        format: 'matmulnbits',
      },
      context,
    );
  return new Map(bits.map((each) => [each, join(output, `paper${each}.onnx`)]));
}

async function main(): Promise<void> {
  const names = values.only?.split(',') ?? Object.keys(METHODS);
  const rows: string[][] = [];
  for (const name of names) {
    const method = METHODS[name];
    if (method === undefined) throw new Error(`no method ${name}`);
    const started = performance.now();
    const sets = method.single ? method.bits.map((bits) => [bits]) : [[...method.bits]];
    const graphs = new Map<Bits, string>();
    for (const bits of sets) for (const [each, path] of await graphsOf(name, method, bits)) graphs.set(each, path);
    const seconds = (performance.now() - started) / 1000;
    const candidates = [...graphs.values()];
    const scores = await evaluate(
      {
        reference: model,
        candidates,
        text: { ids: held },
        window: 512,
        threads: 2,
        memoryBytes: 8 * 2 ** 30,
        speed: false,
      },
      context,
    );
    const kl = new Map([...graphs.keys()].map((bits, at) => [bits, scores.candidates[at]?.kl ?? 0]));
    rows.push([name, ...BITS.map((bits) => (kl.has(bits) ? significant(kl.get(bits) ?? 0) : '-')), seconds.toFixed(0)]);
    console.log(rows.at(-1)?.join('  '));
  }
  console.log(
    table(
      [
        { title: 'method' },
        ...[...BITS.map((bits) => `int${bits}`), 'seconds'].map((title) => ({ title, align: 'right' }) as const),
      ],
      rows,
    ),
  );
}

await main().finally(() => rmSync(folder, { recursive: true, force: true }));
