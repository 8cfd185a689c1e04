/**
 * How often `compare` is wrong: equal models called worse on other windows, and the smallest damage found with 32 windows. Every
 * model is scored once; comparisons draw their windows from those scores.
 *   node dist/scripts/false-alarms.js [WINDOWS]
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { significant, table } from '../src/cli/render.js';
import { modelVerdict, type Scored } from '../src/evaluate/compare/index.js';
import { meanOf, type WindowSum } from '../src/evaluate/index.js';
import { compile, type EvalResult, evaluate, mix, parseRecipe } from '../src/index.js';
import { createRandom } from '../src/random.js';
import { openSet } from '../src/set/index.js';
import { fixture } from '../test/support/paths.js';

const MODEL = fixture('models/mistral-656k/model.onnx');
const TEXT = {
  files: [fixture('text/stories-excerpt.txt')],
  tokenizer: fixture('models/mistral-656k/tokenizer.json'),
};
const COMPARISONS = 50;
const DRAWN = 32;
/** How many are drawn for a share that 50 are too few for. */
const MANY = 200;
/** Which projection is int3 in a model that is int4 elsewhere: damage of several sizes. */
const DAMAGED = [0, 1, 2, 3, 4, 5, 6, 7];

const windows = Number(process.argv[2] ?? 96);
const folder = mkdtempSync(join(tmpdir(), 'matquant-alarms-'));
try {
  const recipe = parseRecipe({ method: 'data-free', block: 32, bits: [4, 3, 2] }, 'false-alarms');
  await compile({ model: MODEL, output: folder, name: 'm', recipe, threads: 1 });
  const damaged = await Promise.all(DAMAGED.map(mixOf));
  const candidates = ['m_int2', 'm_int3', 'm_int4'].map((name) => join(folder, `${name}.onnx`));
  const scores = await evaluate({
    reference: MODEL,
    candidates: [...candidates, ...damaged],
    text: TEXT,
    window: 128,
    windows,
    threads: 1,
    speed: false,
  });
  console.log(falseAlarms(scores), '\n');
  console.log(detections(scores));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function mixOf(damaged: number): Promise<string> {
  const { layout } = openSet(join(folder, 'm.json')).manifest;
  const bits = Object.fromEntries(layout.projections.map(({ id }, at) => [id, at === damaged ? 3 : 4]));
  const bitsFile = join(folder, `bits-${damaged}.json`);
  writeFileSync(bitsFile, JSON.stringify(bits));
  const output = join(folder, `damaged-${damaged}.onnx`);
  await mix({ set: join(folder, 'm.json'), goal: { bitsFile }, output });
  return output;
}

/** A model on some of the windows. */
function drawn({ reference, candidates }: EvalResult, model: number, chosen: readonly number[]): Scored {
  const of = (all: readonly WindowSum[]): readonly WindowSum[] => chosen.map((window) => all[window] as WindowSum);
  const score = candidates[model] as EvalResult['candidates'][number];
  const klWindows = of(score.klWindows);
  const own = { windows: of(score.windows), klWindows, top1Windows: of(score.top1Windows), kl: meanOf(klWindows).mean };
  return { score: { ...score, ...own }, reference: { ...reference, windows: of(reference.windows) } };
}

/** Equal models, each side on windows of its own. */
function falseAlarms(scores: EvalResult): string {
  const random = createRandom(1);
  const all = scores.reference.windows.map((_, at) => at);
  const rows = ['int2', 'int3', 'int4'].map((name, model) => {
    const verdicts = Array.from({ length: MANY }, () => {
      const order = random.shuffle(all);
      const [base, head] = [order.slice(0, DRAWN), order.slice(DRAWN, 2 * DRAWN)];
      return modelVerdict(drawn(scores, model, base), drawn(scores, model, head), 1);
    });
    const worse = (of: readonly string[]): string =>
      `${of.filter((verdict) => verdict === 'worse').length} of ${of.length}`;
    return [name, worse(verdicts.slice(0, COMPARISONS)), worse(verdicts)];
  });
  return table([{ title: 'equal models' }, { title: 'called worse' }, { title: 'called worse' }], rows);
}

/** int4 against models with one projection at int3, on the same 32 windows. */
function detections(scores: EvalResult): string {
  const random = createRandom(2);
  const all = scores.reference.windows.map((_, at) => at);
  const int4 = scores.candidates[2]?.kl ?? 0;
  const damaged = DAMAGED.map((_, at) => at).sort(
    (a, b) => (scores.candidates[3 + a]?.kl ?? 0) - (scores.candidates[3 + b]?.kl ?? 0),
  );
  const rows = damaged.map((at) => {
    const verdicts = Array.from({ length: COMPARISONS }, () => {
      const chosen = random.shuffle(all).slice(0, DRAWN);
      return modelVerdict(drawn(scores, 2, chosen), drawn(scores, 3 + at, chosen), 1);
    });
    const found = verdicts.filter((verdict) => verdict === 'worse').length;
    const kl = scores.candidates[3 + at]?.kl ?? 0;
    return [
      significant(int4),
      significant(kl),
      `${significant(100 * (kl / int4 - 1), 2)} %`,
      `${found} of ${COMPARISONS}`,
    ];
  });
  const titles = ['KL of int4', 'KL damaged', 'more', 'found'];
  return table(
    titles.map((title) => ({ title })),
    rows,
  );
}
