/**
 * What an amount of calibration text is worth: KL on held-out text of each precision after calibration on the first N characters of a
 * text, beside the same model compiled without text.
 *   node dist/scripts/text-amount.js MODEL --text F --held F --tokenizer F [--amounts 33,100,1000,10000] [--bits 8,4,2]
 *     [--block 32] [--preset best] [--tokens 200000] [--window 512] [--windows 32] [--json] [--root FOLDER OF ANOTHER BUILD]
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { right, significant, table } from '../src/cli/render.js';
import type { RecipeInput } from '../src/index.js';
import { codeOf, here, libraryOf } from './fuzz/target.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: 'string' },
    held: { type: 'string' },
    tokenizer: { type: 'string' },
    amounts: { type: 'string', default: '33,100,300,1000,10000,100000' },
    bits: { type: 'string', default: '8,4,2' },
    block: { type: 'string', default: '32' },
    preset: { type: 'string', default: 'best' },
    tokens: { type: 'string', default: '200000' },
    window: { type: 'string', default: '512' },
    windows: { type: 'string', default: '32' },
    json: { type: 'boolean', default: false },
    root: { type: 'string', default: here },
  },
});
const { text, held, tokenizer } = values;
const [model] = positionals;
if (model === undefined || text === undefined || held === undefined || tokenizer === undefined)
  throw new TypeError('MODEL --text F --held F --tokenizer F are needed');
const { compile, evaluate, PRESETS, parseRecipe, silentContext } = await libraryOf(resolve(values.root));
const context = silentContext();
const machine = { threads: cpus().length, memoryBytes: 8 * 2 ** 30 };
const bits = values.bits.split(',').map(Number) as (8 | 4 | 2)[];
const common = { tokenizer, jsonlField: 'text', bos: 'auto' } as const;

interface Row {
  readonly characters: number;
  readonly tokens: number;
  /** KL by precision, nats per position; a code where compiling is refused. */
  readonly kl: readonly number[] | string;
}

/** Compiles with the first `characters` of the text, without any for 0, and scores on the held-out text. */
async function measure(characters: number): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'matquant-text-'));
  try {
    const part = join(folder, text?.endsWith('.jsonl') ? 'text.jsonl' : 'text.txt');
    writeFileSync(part, readFileSync(text as string, 'utf8').slice(0, characters));
    const preset = PRESETS[characters === 0 ? 'data-free' : values.preset] ?? {};
    const fixed = {
      bits,
      block: Number(values.block),
      window: Number(values.window),
      ...(characters > 0 && { tokens: Number(values.tokens) }),
    };
    const recipe = parseRecipe({ ...preset, ...fixed } as RecipeInput, 'text-amount');
    const given = characters === 0 ? {} : { text: { files: [part], ...common } };
    const files = { model: model as string, output: join(folder, 'set'), name: 'm' };
    const rest = { ...machine, seed: 0, standalone: false, strict: false };
    const { calibrationTokens } = await compile({ ...files, recipe, ...given, ...rest }, context);
    const candidates = bits.map((each) => join(folder, 'set', `m_int${each}.onnx`));
    const scored = {
      text: { files: [held as string], ...common },
      window: Number(values.window),
      windows: Number(values.windows),
    };
    const { candidates: scores } = await evaluate(
      { reference: files.model, candidates, ...scored, ...machine, speed: false },
      context,
    );
    return { characters, tokens: calibrationTokens, kl: scores.map(({ kl }) => kl) };
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    return { characters, tokens: 0, kl: code };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const rows: Row[] = [];
for (const characters of [0, ...values.amounts.split(',').map(Number)]) {
  rows.push(await measure(characters));
  process.stderr.write(`${characters} characters done\n`);
}
const free = rows[0]?.kl;
const worst = (kl: Row['kl']): string => {
  if (typeof kl === 'string' || typeof free === 'string' || free === undefined) return '';
  return Math.max(...kl.map((each, at) => each / (free[at] as number))).toFixed(2);
};
const cells = ({ characters, tokens, kl }: Row): string[] => [
  characters === 0 ? 'none' : String(characters),
  String(tokens),
  ...(typeof kl === 'string' ? [kl, ...bits.slice(1).map(() => '')] : kl.map((each) => significant(each))),
  worst(kl),
];
const columns = [
  { title: 'characters' },
  ...['tokens', ...bits.map((each) => `int${each} KL`), 'x data-free'].map(right),
];
console.log(values.json ? JSON.stringify(rows) : table(columns, rows.map(cells)));
process.exit(0);
