/**
 * Compiles each export given with a preset for whole models and shows what came out: bytes before and after, bytes of the
 * embedding and the head (one table where they are tied), KL to the export on held text, and whether 64 tokens decoded with the
 * cache are those of passes over the whole text. A token that differs shows how far behind its logit is there: kernels for one
 * row and for many add in another order. Exit code 1 when it is more than a hair. An export that is refused shows why.
 *   node dist/scripts/deploy-table.js --ids WINDOWS.jsonl --held WINDOWS.jsonl [--preset deploy-int4] MODEL.onnx…
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { byteSize, right, significant, table } from '../src/cli/render.js';
import { type CompileResult, compile } from '../src/compile/compile.js';
import { CompilerError } from '../src/diagnostics.js';
import { evaluate } from '../src/evaluate/evaluate-files.js';
import { silentContext } from '../src/log.js';
import { fileSizesOf } from '../src/onnx/convert/file-sizes.js';
import { float16ToFloat32 } from '../src/onnx/ir/half.js';
import { parseRecipe, presetOf } from '../src/recipe/recipe.js';
import { openDecoder } from '../src/runtime/decoder.js';
import { promptFeeds } from '../src/runtime/feeds.js';
import { generate } from '../src/runtime/generate.js';
import { ortRuntime } from '../src/runtime/ort.js';
import type { HostTensor } from '../src/runtime/runtime.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ids: { type: 'string' },
    held: { type: 'string' },
    preset: { type: 'string', default: 'deploy-int4' },
    windows: { type: 'string', default: '16' },
  },
});
const { ids, held, preset } = values;
if (ids === undefined || held === undefined) throw new TypeError('--ids FILE and --held FILE are needed');
const context = silentContext();
const machine = { threads: 2, memoryBytes: 8 * 2 ** 30 };
const prompt = firstWindow(held).slice(0, 20);

function firstWindow(path: string): number[] {
  return JSON.parse(readFileSync(path, 'utf8').split('\n', 1)[0] ?? '') as number[];
}

/** Logits this near are as good as equal; those of the real models here differ by 1 to 3 between first and second. */
const NEAR = 0.05;

/** How far the logit of `id` is below the largest of the last position. */
function gapOf({ dims, data, dtype }: HostTensor, id: number): number {
  const last = data.subarray(data.length - (dims.at(-1) as number));
  const row = dtype === 'float16' ? float16ToFloat32(last as Uint16Array) : (last as Float32Array);
  return row.reduce((most, value) => Math.max(most, value)) - (row[id] as number);
}

/** `64 of 64`; or that not even the export itself runs with its cache here, as float16 graphs of onnxruntime-genai do not on a processor. */
async function cacheCell(path: string, source: string): Promise<string> {
  try {
    return await cached(path);
  } catch (error) {
    const why = await cached(source).catch((fault: unknown) => fault);
    if (typeof why === 'string') throw error;
    return 'the export fails too';
  }
}

/** How many of 64 decoded tokens a pass over all text before them finds likeliest too. */
async function cached(path: string): Promise<string> {
  const decoder = await openDecoder(ortRuntime, path, { threads: 2 });
  try {
    if (!decoder.hasCache) return 'no cache';
    const { ids: made } = await generate(decoder, prompt, 64);
    const gaps: number[] = [];
    for (const [at, id] of made.entries()) {
      const feeds = promptFeeds(decoder, [...prompt, ...made.slice(0, at)]);
      const outputs = await decoder.session.run(feeds, [decoder.logits.name]);
      gaps.push(gapOf(outputs[decoder.logits.name] as HostTensor, id));
    }
    const largest = Math.max(...gaps);
    if (largest > NEAR) process.exitCode = 1;
    const same = `${gaps.filter((gap) => gap === 0).length} of ${made.length}`;
    return largest === 0 ? same : `${same}, gap ${significant(largest)}`;
  } finally {
    await decoder.session.close();
  }
}

const nameOf = (model: string): string => model.split('/').slice(-3, -1).join('/');

const tablesOf = ({ tables }: CompileResult): string =>
  tables.map(({ name, tied, bytes }) => `${tied ? 'tied' : name} ${byteSize(bytes)}`).join(', ');

/** One row for each graph of the set, or one that says why there is none. */
async function rowsOf(model: string): Promise<string[][]> {
  try {
    return await compiledRows(model);
  } catch (error) {
    if (!(error instanceof CompilerError)) throw error;
    return [
      [
        nameOf(model),
        byteSize(fileSizesOf(model).fileBytes),
        '-',
        `${error.code}: ${error.message.slice(0, 70)}`,
        '',
        '',
        '',
        '',
      ],
    ];
  }
}

async function compiledRows(model: string): Promise<string[][]> {
  const output = mkdtempSync(join(tmpdir(), 'matquant-deploy-'));
  try {
    const recipe = parseRecipe(presetOf(preset), preset);
    const options = { model, output, name: 'model', recipe, text: { ids: ids ?? '' }, seed: 0, ...machine };
    const result = await compile({ ...options, standalone: false, strict: false }, context);
    const candidates = result.precisions.map(({ bits }) => join(output, `model_int${bits}.onnx`));
    const text = { ids: held ?? '' };
    const scored = { reference: model, candidates, text, window: 512, windows: Number(values.windows), speed: false };
    const { reference, candidates: scores } = await evaluate({ ...scored, ...machine }, context);
    const rows: string[][] = [];
    for (const [at, each] of scores.entries()) {
      const name = `${nameOf(model)} int${result.precisions[at]?.bits}`;
      const kept = byteSize(each.downloadBytes);
      const [kl, delta, top1] = [significant(each.kl), each.deltaNll.toFixed(4), `${(100 * each.top1).toFixed(1)} %`];
      const stored = tablesOf(result);
      rows.push([
        name,
        byteSize(reference.fileBytes),
        kept,
        stored,
        kl,
        delta,
        top1,
        await cacheCell(each.path, model),
      ]);
    }
    return rows;
  } finally {
    rmSync(output, { recursive: true });
  }
}

const rows: string[][] = [];
for (const model of positionals) rows.push(...(await rowsOf(model)));
const columns = [{ title: 'export' }, right('float'), right('compiled'), { title: 'embedding and head' }];
console.log(table([...columns, right('KL'), right('NLL +'), right('top-1'), right('cache = whole text')], rows));
