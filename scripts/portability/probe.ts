/**
 * What a processor may change and what it may not, as digests on one line of JSON. `own`, the bytes of a rounded set and of solved codes,
 * and `set`, data and graphs of a set whose statistics were captured in float64, are the same everywhere. `float` and `int4`, logits of
 * ONNX Runtime, and `captured`, the same set with statistics in float32, differ from one set of instructions to another.
 */
import { createHash, type Hash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { logitsFor } from '../../src/evaluate/logits.js';
import { bytesOf } from '../../src/files/transfer.js';
import { compile, parseRecipe, type RecipeInput, silentContext } from '../../src/index.js';
import { KernelPool } from '../../src/kernels/pool.js';
import { createRandom } from '../../src/random.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { solveGroup } from '../../src/solve/kernel/solve.js';
import { dataIn } from '../../test/support/set-files.js';

const model = fileURLToPath(new URL('../../../fixtures/models/mistral-656k/model.onnx', import.meta.url));

/** Codes and tables solved for noise under a Gram matrix of noise. */
async function hashSolved(hash: Hash): Promise<void> {
  const [rows, cols, tokens] = [24, 96, 200];
  const random = createRandom(1);
  const weights = Float32Array.from({ length: rows * cols }, () => 0.05 * random.normal());
  const inputs = Float64Array.from({ length: tokens * cols }, () => random.normal());
  const gram = new Float64Array(cols * cols);
  for (let t = 0; t < tokens; t++)
    for (let at = 0; at < gram.length; at++)
      gram[at] =
        (gram[at] as number) +
        (inputs[t * cols + Math.floor(at / cols)] as number) * (inputs[t * cols + (at % cols)] as number);
  const recipe = parseRecipe({ method: 'best', block: 32 }, 'probe');
  const { bits, slice, decode, symmetric, range, damping, rounds, sweeps } = recipe;
  const lambda = { 8: 8, 6: 4, 4: 2, 3: 1, 2: 1 };
  const shared = { bits, slice, decode, symmetric, range, damping, rounds, sweeps };
  const pool = new KernelPool(1);
  const options = { ...shared, lambda, block: 32, codes: 'gptq' } as const;
  for (const { codes, tables } of await solveGroup(pool, [{ name: 'w', rows, weights }], cols, gram, options)) {
    hash.update(codes);
    for (const { scale, offset } of tables.values()) hash.update(bytesOf(scale)).update(bytesOf(offset));
  }
  await pool.close();
}

async function logitsDigest(path: string): Promise<string> {
  const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
  const ids = Int32Array.from({ length: 48 }, (_, at) => 3 + ((at * 37) % 1000));
  const logits = await logitsFor(decoder, ids);
  const hash = createHash('sha256');
  for (let at = 0; at < logits.positions; at++) hash.update(bytesOf(logits.row(at)));
  await decoder.session.close();
  return short(hash);
}

const short = (hash: Hash): string => hash.digest('hex').slice(0, 12);

const folder = mkdtempSync(join(tmpdir(), 'matquant-probe-'));
const root = fileURLToPath(new URL('../../../fixtures', import.meta.url));
const text = {
  files: [join(root, 'text/stories-calibration.txt')],
  tokenizer: join(root, 'models/mistral-656k/tokenizer.json'),
  jsonlField: 'text',
  bos: 'auto',
} as const;

/** Compiles into a folder of this name. */
async function compiled(name: string, input: RecipeInput): Promise<string> {
  const recipe = parseRecipe({ block: 32, ...input }, 'probe');
  const machine = { threads: 1, memoryBytes: 1e9, seed: 0, standalone: false, strict: false };
  const output = join(folder, name);
  const given = recipe.method === 'best' ? { text } : {};
  await compile({ model, output, name: 'm', recipe, ...given, ...machine }, silentContext());
  return output;
}

/** Of everything in a set but what is measured: data and graphs. */
function setDigest(at: string): string {
  const hash = createHash('sha256');
  for (const name of readdirSync(at).sort()) if (!name.endsWith('.json')) hash.update(readFileSync(join(at, name)));
  return short(hash);
}

try {
  const rounded = await compiled('rtn', { method: 'rtn', decode: 'tied', bits: [8, 4] });
  const own = createHash('sha256').update(readFileSync(dataIn(rounded)));
  await hashSolved(own);
  // Little text: its statistics, those of random ids, and the solver of both.
  const best: RecipeInput = { method: 'best', bits: [8, 4, 2], tokens: 512 };
  const set = setDigest(await compiled('set', { ...best, capture: 'float64' }));
  const captured = setDigest(await compiled('captured', best));
  const [float, int4] = [await logitsDigest(model), await logitsDigest(join(rounded, 'm_int4.onnx'))];
  console.log(JSON.stringify({ own: short(own), set, captured, float, int4 }));
} finally {
  rmSync(folder, { recursive: true });
}
