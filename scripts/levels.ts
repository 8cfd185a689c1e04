/**
 * KL of each graph to its source at every optimization level of ONNX Runtime, and how far the levels lie apart: a graph must compute
 * the same whatever the runtime rewrites. With products in float (--accuracy 0) the levels may differ in the last digits only; at
 * accuracy level 4 activations are rounded to 8 bits where the weights are constants, and stay float where they are joined from planes.
 *   node dist/scripts/levels.js MODEL [--text F --tokenizer F | --ids F] [--windows N] [--accuracy 0|4] [--root FOLDER OF ANOTHER BUILD]
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { right, significant, table } from '../src/cli/render.js';
import { divergence } from './fuzz/compare-logits.js';
import { here, libraryOf } from './fuzz/target.js';
import { LEVELS, largestDifference, logitsAt, SOME_IDS } from './levels/logits.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    text: { type: 'string' },
    tokenizer: { type: 'string' },
    ids: { type: 'string' },
    windows: { type: 'string', default: '2' },
    accuracy: { type: 'string', default: '4' },
    root: { type: 'string', default: here },
  },
});
const [model] = positionals;
if (model === undefined) throw new TypeError('MODEL is missing');
const { compile, mix, PRESETS, parseRecipe, silentContext, slice } = await libraryOf(resolve(values.root));
const context = silentContext();
const folder = mkdtempSync(join(tmpdir(), 'matquant-levels-'));
const bits = [8, 4, 2] as const;
const accuracyLevel = values.accuracy === '0' ? 0 : 4;
/** Largest difference of logits between levels, as a share of the largest logit: last digits, or rounded activations. */
const LIMIT = accuracyLevel === 0 ? 1e-4 : 0.1;

/** Token ids to run: the first lines of --ids, or a few of every vocabulary. */
function windows(): readonly (readonly number[])[] {
  if (values.ids === undefined) return [SOME_IDS];
  const lines = readFileSync(values.ids, 'utf8').trim().split('\n').slice(0, Number(values.windows));
  return lines.map((line) => (JSON.parse(line) as number[]).slice(0, 128));
}

function textOption(): object {
  const { text, tokenizer, ids } = values;
  if (ids !== undefined) return { text: { ids } };
  if (text === undefined || tokenizer === undefined) return {};
  return { text: { files: [text], tokenizer, jsonlField: 'text', bos: 'auto' } };
}

/** Writes one graph of each form, with its name. */
async function graphs(source: string): Promise<readonly (readonly [string, string])[]> {
  const machine = { threads: 2, memoryBytes: 4 * 2 ** 30, seed: 0, standalone: false, strict: false };
  const text = textOption();
  const method = 'text' in text ? 'best' : 'data-free';
  const set = join(folder, 'set');
  const compiled = async (output: string, recipe: object): Promise<void> => {
    const parsed = parseRecipe({ ...recipe, method, accuracyLevel }, 'levels');
    await compile({ model: source, output, name: 'm', recipe: parsed, ...text, ...machine }, context);
  };
  await compiled(set, { bits });
  const found: [string, string][] = bits.map((each) => [`nested int${each}`, join(set, `m_int${each}.onnx`)]);
  const manifest = join(set, 'm.json');
  for (const format of ['matmulnbits', 'qdq'] as const) {
    for (const each of bits) {
      const output = join(folder, `${format}-${each}.onnx`);
      await slice({ set: manifest, bits: each, output, standalone: true, slice: 'prefix', format }, context);
      found.push([`${format === 'qdq' ? 'qdq' : 'standalone'} int${each}`, output]);
    }
  }
  const mixed = join(folder, 'mixed.onnx');
  await mix({ set: manifest, goal: { averageBits: 3 }, output: mixed, standalone: false }, context);
  found.push(['mixed at 3 bits', mixed]);
  for (const preset of ['deploy-int8', 'deploy-int4', 'deploy-int2']) {
    const output = join(folder, preset);
    await compiled(output, PRESETS[preset] ?? {});
    for (const each of bits) {
      const path = join(output, `m_int${each}.onnx`);
      if (existsSync(path)) found.push([`${preset} int${each}`, path]);
    }
  }
  return found;
}

async function main(source: string): Promise<number> {
  const texts = windows();
  const wanted = await Promise.all(texts.map((ids) => logitsAt(source, 'all', ids)));
  const rows: string[][] = [];
  let [worst, worstKl] = [0, 0];
  for (const [name, path] of await graphs(source)) {
    const kl: number[] = [];
    let apart = 0;
    for (const [at, ids] of texts.entries()) {
      const all = [];
      for (const level of LEVELS) all.push(await logitsAt(path, level, ids, accuracyLevel));
      apart = Math.max(apart, largestDifference(all));
      for (const [index, logits] of all.entries())
        kl[index] = (kl[index] ?? 0) + divergence(wanted[at] as (typeof all)[number], logits) / texts.length;
    }
    const spread = Math.max(...kl) - Math.min(...kl);
    worst = Math.max(worst, apart);
    worstKl = Math.max(worstKl, spread);
    rows.push([name, ...kl.map((each) => significant(each, 4)), spread.toExponential(1), apart.toExponential(1)]);
  }
  const columns = [{ title: 'graph' }, ...[...LEVELS, 'largest difference', 'of logits'].map(right)];
  console.log(table(columns, rows));
  console.log(
    `\nlargest difference of KL between levels: ${worstKl.toExponential(2)} nats; of logits: ${worst.toExponential(2)}`,
  );
  return worst;
}

const worst = await main(model).finally(() => rmSync(folder, { recursive: true, force: true }));
process.exit(worst <= LIMIT ? 0 : 1);
