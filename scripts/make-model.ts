/**
 * Writes a generated decoder of any size, for measuring: weights are pseudo-random, the same for the same flags, and streamed.
 *   node dist/scripts/make-model.js --layers 32 --hidden 4096 --ffn 14336 --heads 32 --kv-heads 8 --vocabulary 32000
 *     --dtype float16 --out DIR/model.onnx
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { exportModel } from '../src/onnx/convert/export.js';
import { generatedDecoder } from './generated-decoder.js';

const { values } = parseArgs({
  options: {
    layers: { type: 'string', default: '2' },
    hidden: { type: 'string', default: '256' },
    ffn: { type: 'string', default: '1024' },
    heads: { type: 'string', default: '4' },
    'kv-heads': { type: 'string', default: '2' },
    vocabulary: { type: 'string', default: '2048' },
    context: { type: 'string', default: '4096' },
    dtype: { type: 'string', default: 'float32' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
});

type Count = Exclude<keyof typeof values, 'dtype' | 'out'>;

function count(name: Count): number {
  const number = Number(values[name]);
  if (!Number.isInteger(number) || number < 1) throw new RangeError(`--${name} must be a positive whole number`);
  return number;
}

const { dtype, out } = values;
if (out === undefined) throw new TypeError('--out FILE is missing');
if (dtype !== 'float16' && dtype !== 'float32') throw new TypeError('--dtype is float16 or float32');

const start = performance.now();
const model = generatedDecoder({
  layers: count('layers'),
  hidden: count('hidden'),
  ffn: count('ffn'),
  heads: count('heads'),
  kvHeads: count('kv-heads'),
  vocabulary: count('vocabulary'),
  context: count('context'),
  seed: count('seed'),
  dtype,
});
mkdirSync(dirname(out), { recursive: true });
const { bytes, data } = exportModel(model, out);
const seconds = (performance.now() - start) / 1000;
const rss = process.resourceUsage().maxRSS / 1024;
console.log(
  `${out}: ${((bytes + (data?.bytes ?? 0)) / 1e9).toFixed(3)} GB in ${seconds.toFixed(1)} s, peak ${rss.toFixed(0)} MiB`,
);
