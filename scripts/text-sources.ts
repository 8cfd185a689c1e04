/**
 * What calibration text is worth: KL on held-out text, by precision, after calibration on C4, on WikiText, on text that the model wrote
 * itself, and without text. Needs the network for c4 and wikitext unless they were read before.
 *   node dist/scripts/text-sources.js MODEL [--held F ...] [--sources c4,wikitext,self,none] [--bits 4,2] [--preset best]
 *     [--tokens 32768] [--window 512] [--windows 32] [--json]
 * MODEL is a file, folder or hf:ORG/NAME. Held-out text is by default the evaluation part of C4 and of WikiText.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { right, significant, table } from '../src/cli/render.js';
import { compile, evaluate, type RecipeInput, silentContext } from '../src/index.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    held: { type: 'string', multiple: true, default: ['c4', 'wikitext'] },
    sources: { type: 'string', default: 'c4,wikitext,self,none' },
    bits: { type: 'string', default: '4,2' },
    preset: { type: 'string', default: 'best' },
    tokens: { type: 'string', default: '32768' },
    window: { type: 'string', default: '512' },
    windows: { type: 'string', default: '32' },
    json: { type: 'boolean', default: false },
  },
});
const [model] = positionals;
if (model === undefined) throw new TypeError('MODEL is needed');
const context = silentContext();
const machine = { threads: cpus().length, memoryBytes: 8 * 2 ** 30 };
const bits = values.bits.split(',').map(Number) as (8 | 6 | 4 | 3 | 2)[];
const window = Number(values.window);

interface Row {
  readonly source: string;
  readonly tokens: number;
  /** Of the whole compilation, with the text it wrote or read. */
  readonly seconds: number;
  /** KL in nats per position: held-out texts, then precisions. */
  readonly kl: readonly (readonly number[])[];
}

async function measure(source: string): Promise<Row> {
  const folder = mkdtempSync(join(tmpdir(), 'matquant-text-'));
  const started = performance.now();
  try {
    const isNone = source === 'none';
    const learnt = isNone ? {} : { tokens: Number(values.tokens), window };
    const recipe = { preset: isNone ? 'data-free' : values.preset, bits, ...learnt } as RecipeInput;
    const text = isNone ? {} : { text: { files: [source] } };
    const result = await compile(
      { model: model as string, output: folder, name: 'm', recipe, ...text, ...machine },
      context,
    );
    const seconds = (performance.now() - started) / 1000;
    const candidates = bits.map((each) => join(folder, `m_int${each}.onnx`));
    const kl: number[][] = [];
    for (const file of values.held) {
      const scored = { text: { files: [file] }, window, windows: Number(values.windows), speed: false };
      const { candidates: scores } = await evaluate(
        { reference: model as string, candidates, ...scored, ...machine },
        context,
      );
      kl.push(scores.map((score) => score.kl));
    }
    return { source, tokens: isNone ? 0 : result.calibrationTokens, seconds, kl };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const rows: Row[] = [];
for (const source of values.sources.split(',')) rows.push(await measure(source));
const titles = values.held.flatMap((held) => bits.map((each) => `int${each} on ${held}`));
const lines = rows.map(({ source, tokens, seconds, kl }) => [
  source,
  String(tokens),
  seconds.toFixed(0),
  ...kl.flat().map((each) => significant(each)),
]);
console.log(
  values.json
    ? JSON.stringify(rows)
    : table([{ title: 'text' }, right('tokens'), right('seconds'), ...titles.map(right)], lines),
);
