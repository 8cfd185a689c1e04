/** Generated decoders are found by the analysis, run in ONNX Runtime, and come out the same every time. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type DecoderShape, generatedDecoder } from '../../scripts/generated-decoder.js';
import { RandomWeights } from '../../scripts/random-weights.js';
import { analyse } from '../../src/analysis/projections.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { toFloat32 } from '../../src/onnx/ir/half.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { generate } from '../../src/runtime/generate.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { temporaryFolder } from '../support/paths.js';

const tiny: DecoderShape = {
  layers: 2,
  hidden: 64,
  ffn: 160,
  heads: 4,
  kvHeads: 2,
  vocabulary: 96,
  context: 64,
  dtype: 'float32',
  seed: 1,
};

describe('a generated decoder', () => {
  it.each(['float32', 'float16'] as const)('in %s is found and decodes', async (dtype) => {
    const path = join(temporaryFolder(), 'model.onnx');
    exportModel(generatedDecoder({ ...tiny, dtype }), path);
    const model = importModel(path);
    const { projections, refusals, embedding, activation } = analyse(model);
    const roles = projections.map(({ layer, role, k, n }) => `${layer} ${role} ${k}x${n}`);
    expect(roles.filter((each) => /gate|up|down/.test(each))).toEqual([
      ...['0 gate 64x160', '0 up 64x160', '0 down 160x64'],
      ...['1 gate 64x160', '1 up 64x160', '1 down 160x64'],
    ]);
    expect(roles.filter((each) => / (qkv|o|head) /.test(each))).toHaveLength(5);
    expect(refusals).toEqual([]);
    expect([embedding?.head, activation]).toEqual(['untied', 'silu']);
    const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
    const { ids } = await generate(decoder, [1, 2, 3], 4);
    await decoder.session.close();
    expect(ids).toHaveLength(4);
    expect(new Set(ids).size).toBeGreaterThan(1);
  });

  it('is the same to the byte for the same shape', () => {
    const folder = temporaryFolder();
    const written = ['a', 'b'].map((name) => {
      exportModel(generatedDecoder(tiny), join(folder, `${name}.onnx`), { dataFile: 'data' });
      return [join(folder, `${name}.onnx`), join(folder, 'data')].map((path) => readFileSync(path).toString('base64'));
    });
    expect(written[0]).toEqual(written[1]);
  });
});

describe('random weights', () => {
  it('have the deviation asked for, rows of different scale, and the same bytes in any ranges', () => {
    const tensor = new RandomWeights(3, 'float32').matrix(64, 70_000, 0.02);
    const values = toFloat32(tensor.bytes(), 'float32');
    const deviation = (from: number, to: number): number =>
      Math.sqrt(values.subarray(from, to).reduce((sum, value) => sum + value * value, 0) / (to - from));
    expect(deviation(0, values.length) / 0.02).toBeGreaterThan(0.85);
    expect(deviation(0, values.length) / 0.02).toBeLessThan(1.15);
    const rows = Array.from({ length: 64 }, (_, row) => deviation(row * 70_000, (row + 1) * 70_000));
    expect(Math.max(...rows) / Math.min(...rows)).toBeGreaterThan(2);
    const parts = [0, 1, 100_001, 262_144, 270_000, 5_000_003, tensor.byteLength];
    const joined = parts.slice(1).map((end, at) => Buffer.from(tensor.bytes(parts[at], end)));
    expect(Buffer.concat(joined).equals(tensor.bytes())).toBe(true);
  });
});
