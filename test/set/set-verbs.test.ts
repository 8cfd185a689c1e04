import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { silentContext } from '../../src/log.js';
import { mix } from '../../src/mix/mix.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { blocksOf } from '../../src/quant/grid.js';
import { bytesNeeded, effectiveBits, type LayoutOptions } from '../../src/quant/layout.js';
import type { Precision } from '../../src/quant/precision.js';
import { sliceCodes } from '../../src/quant/slice.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { append } from '../../src/set/append.js';
import { openSet } from '../../src/set/set-manifest.js';
import { slice } from '../../src/set/slice.js';
import { noise } from '../support/decoder.js';
import {
  decodedWeights,
  multiply,
  type ProductSpec,
  product,
  type SetOnDisk,
  writeSet,
  writeWholeSet,
} from '../support/nested.js';
import { temporaryFolder } from '../support/paths.js';

const CHAIN: readonly Precision[] = [2, 3, 4, 6, 8];
const base: LayoutOptions = { bits: CHAIN, block: 32, decode: 'ab', tables: 'c8' };
const spec: ProductSpec = { k: 172, n: 24 };
const context = silentContext();

let root: string;
let full: string;
let set: SetOnDisk;
let manifest: string;
beforeAll(() => {
  root = temporaryFolder();
  full = join(root, 'full');
  mkdirSync(full);
  set = writeSet(full, product(spec), base);
  manifest = writeWholeSet(full, set);
});
afterAll(() => rmSync(root, { recursive: true }));

let count = 0;
function folder(): string {
  const path = join(root, String(count++));
  mkdirSync(path);
  return path;
}

const X = noise(2 * spec.k, 5);

async function run(path: string): Promise<readonly Float32Array[]> {
  const session = await ortRuntime.open(path, { threads: 1 });
  const outputs = await session.run({ x: { dtype: 'float32', dims: [1, 2, spec.k], data: X } });
  await session.close();
  return [outputs['y0']?.data as Float32Array, outputs['y1']?.data as Float32Array];
}

/** Largest relative error of both outputs against weights by the definition. */
function errorAgainst(found: readonly Float32Array[], weights: (index: number) => Float32Array): number {
  let worst = 0;
  found.forEach((values, index) => {
    const { y, size } = multiply(X, weights(index), spec.k, spec.n);
    y.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value - (values[i] as number)) / size);
    });
  });
  return worst;
}

const weightsAt =
  (of: SetOnDisk, bits: (index: number) => Precision) =>
  (index: number): Float32Array => {
    const place = of.written.layout.projections[index];
    const solved = place && of.solved.get(place.id);
    if (place === undefined || solved === undefined) throw new Error('no such projection');
    return decodedWeights(solved, place, of.written.layout, bits(index));
  };

describe('slice', () => {
  it.each(CHAIN)('writes an int%i model that computes what the set does, standalone', async (bits) => {
    const output = join(folder(), 'model_q.onnx');
    const result = await slice({ set: manifest, bits, output, standalone: true, slice: 'prefix' }, context);
    expect(result.files.map(({ path }) => path)).toEqual([output, `${output}_data`]);
    expect(importModel(output).metadata.get('matquant.precision')).toBe(`int${bits}`);
    expect(
      errorAgainst(
        await run(output),
        weightsAt(set, () => bits),
      ),
    ).toBeLessThan(1e-5);
  });

  it('cuts the data behind the precision and leaves a set that can grow', async () => {
    const small = folder();
    const output = join(small, 'model_int3.onnx');
    const { files } = await slice({ set: manifest, bits: 3, output, standalone: false, slice: 'prefix' }, context);
    const names = [output, join(small, basename(set.dataPath)), join(small, 'model_int3.json')];
    expect(files.map(({ path }) => path)).toEqual(names);
    expect(readFileSync(output).equals(readFileSync(join(full, 'model_int3.onnx')))).toBe(true);
    expect(files[1]?.bytes).toBe(bytesNeeded(set.written.layout, 3));
    expect(
      errorAgainst(
        await run(output),
        weightsAt(set, () => 3),
      ),
    ).toBeLessThan(1e-5);
    const again = { set: join(small, 'model_int3.json'), standalone: false, slice: 'prefix' } as const;
    await slice({ ...again, bits: 2, output: join(small, 'two.onnx') }, context);
    expect(
      errorAgainst(
        await run(join(small, 'two.onnx')),
        weightsAt(set, () => 2),
      ),
    ).toBeLessThan(1e-5);
    await expect(slice({ ...again, bits: 4, output: join(small, 'four.onnx') }, context)).rejects.toMatchObject({
      code: 'precision-missing',
    });
    expect(readdirSync(small)).not.toContain('four.onnx');
  });

  it.each(['paper', 'extra'] as const)('cuts %s slices from the parent', async (kind) => {
    for (const bits of [2, 3, 4, 6] as const) {
      const output = join(folder(), 'model.onnx');
      await slice({ set: manifest, bits, output, standalone: true, slice: kind }, context);
      const expected = (index: number): Float32Array => {
        const int8 = weightsAt(set, () => 8);
        return slicedWeights(int8(index), index, kind, bits);
      };
      expect(errorAgainst(await run(output), expected)).toBeLessThan(1e-5);
    }
  });

  it.each(CHAIN)('writes int%i in standard operators, which ONNX Runtime fuses', async (bits) => {
    const at = folder();
    const even = writeSet(at, product({ k: 128, n: 24 }), base);
    const output = join(folder(), 'model.onnx');
    const call = {
      set: writeWholeSet(at, even),
      bits,
      output,
      standalone: true,
      slice: 'prefix',
      format: 'qdq',
    } as const;
    await slice(call, context);
    const model = importModel(output);
    expect(model.graph.nodes.filter(({ op }) => op === 'DequantizeLinear')).toHaveLength(2);
    expect(model.graph.nodes.some(({ op }) => op === 'MatMulNBits')).toBe(false);
    const session = await ortRuntime.open(output, { threads: 1, accuracyLevel: 0 });
    const x = X.subarray(0, 256);
    const outputs = await session.run({ x: { dtype: 'float32', dims: [1, 2, 128], data: x } });
    await session.close();
    const { y, size } = multiply(x, weightsAt(even, () => bits)(1), 128, 24);
    const found = outputs['y1']?.data as Float32Array;
    y.forEach((value, i) => {
      expect(Math.abs(value - (found[i] as number)) / size).toBeLessThan(1e-5);
    });
  });

  it('refuses what it cannot write', async () => {
    const call = { set: manifest, output: join(folder(), 'm.onnx') };
    await expect(slice({ ...call, bits: 5, standalone: true, slice: 'prefix' }, context)).rejects.toMatchObject({
      code: 'no-precision',
      message: expect.stringMatching(/^The set has int2, int3.*, not int5$/),
    });
    await expect(slice({ ...call, bits: 2, standalone: false, slice: 'paper' }, context)).rejects.toMatchObject({
      code: 'bad-usage',
    });
    const qdq = { ...call, bits: 4, standalone: true, slice: 'prefix', format: 'qdq' } as const;
    await expect(slice(qdq, context)).rejects.toMatchObject({ code: 'unsupported-target' });
    const graph = join(full, 'model_int2.onnx');
    await expect(
      slice({ ...call, set: graph, bits: 2, standalone: true, slice: 'prefix' }, context),
    ).rejects.toMatchObject({ code: 'not-a-set' });
  });

  it.each([
    ['the data', false, () => set.dataPath],
    ['the manifest', false, () => manifest],
    ['a graph', true, () => join(full, 'model_int4.onnx')],
    ['the graph of another precision', false, () => join(full, 'model_int2.onnx')],
  ])('does not overwrite %s of the set', async (_, standalone, path) => {
    const output = path();
    const before = readFileSync(output);
    await expect(slice({ set: manifest, bits: 4, output, standalone, slice: 'prefix' }, context)).rejects.toMatchObject(
      {
        code: output.endsWith('.onnx') ? 'output-exists' : 'bad-usage',
      },
    );
    expect(readFileSync(output).equals(before)).toBe(true);
  });

  it('writes the same bytes every time', async () => {
    const [a, b] = [join(folder(), 'm.onnx'), join(folder(), 'm.onnx')];
    for (const output of [a, b])
      await slice({ set: manifest, bits: 6, output, standalone: true, slice: 'prefix' }, context);
    expect(readFileSync(a).equals(readFileSync(b))).toBe(true);
    expect(readFileSync(`${a}_data`).equals(readFileSync(`${b}_data`))).toBe(true);
  });
});

/** a(step · c) + b for the int8 decode a · q + b, where int8 weights are affine in their codes. */
function slicedWeights(int8: Float32Array, index: number, kind: 'paper' | 'extra', bits: Precision): Float32Array {
  const place = set.written.layout.projections[index];
  const codes = (place && set.solved.get(place.id)?.codes) ?? new Uint8Array();
  const sliced = sliceCodes(codes, kind, bits);
  const blocks = blocksOf(spec.k, 32);
  return int8.map((weight, i) => {
    const row = Math.floor(i / spec.k);
    const from = row * spec.k + Math.floor((i % spec.k) / blocks.block) * blocks.block;
    const to = Math.min(from + blocks.block, (row + 1) * spec.k);
    let other = from;
    for (let j = from; j < to; j++)
      if (
        Math.abs((codes[j] as number) - (codes[i] as number)) >
        Math.abs((codes[other] as number) - (codes[i] as number))
      )
        other = j;
    const run = (codes[other] as number) - (codes[i] as number);
    const a = run === 0 ? 0 : ((int8[other] as number) - weight) / run;
    return weight + a * ((sliced[i] as number) * 2 ** (8 - bits) - (codes[i] as number));
  });
}

describe('append', () => {
  async function cut(bits: number): Promise<{ json: string; data: string }> {
    const small = folder();
    await slice({ set: manifest, bits, output: join(small, 'm.onnx'), standalone: false, slice: 'prefix' }, context);
    return { json: join(small, 'm.json'), data: join(small, basename(set.dataPath)) };
  }

  it('restores the bytes of the whole, in steps', async () => {
    const { json, data } = await cut(2);
    const first = await append({ set: json, bits: 4, from: set.dataPath }, context);
    expect(first).toMatchObject({ path: data, bytes: bytesNeeded(set.written.layout, 4) });
    await append({ set: json, bits: 8, from: set.dataPath }, context);
    expect(readFileSync(data).equals(readFileSync(set.dataPath))).toBe(true);
    expect(await append({ set: json, bits: 8, from: set.dataPath }, context)).toMatchObject({ appendedBytes: 0 });
  });

  it('takes just the missing bytes', async () => {
    const { json, data } = await cut(3);
    const whole = readFileSync(set.dataPath);
    const part = join(folder(), 'part');
    writeFileSync(part, whole.subarray(bytesNeeded(set.written.layout, 3), bytesNeeded(set.written.layout, 6)));
    await append({ set: json, bits: 6, from: part }, context);
    expect(readFileSync(data).equals(whole.subarray(0, bytesNeeded(set.written.layout, 6)))).toBe(true);
  });

  it('refuses bytes that do not belong to the set, and leaves the file as it was', async () => {
    const { json, data } = await cut(2);
    const before = readFileSync(data);
    const other = join(folder(), 'other.data');
    const bytes = readFileSync(set.dataPath);
    const at = bytesNeeded(set.written.layout, 4) - 1;
    bytes[at] = (bytes[at] as number) ^ 1;
    writeFileSync(other, bytes);
    await expect(append({ set: json, bits: 6, from: other }, context)).rejects.toMatchObject({ code: 'not-a-set' });
    expect(readFileSync(data).equals(before)).toBe(true);
    writeFileSync(other, bytes.subarray(0, 100));
    await expect(append({ set: json, bits: 6, from: other }, context)).rejects.toMatchObject({
      code: 'precision-missing',
    });
  });

  it('notices a data file that was damaged before', async () => {
    const { json, data } = await cut(2);
    const bytes = readFileSync(data);
    bytes[10] = (bytes[10] as number) ^ 1;
    writeFileSync(data, bytes);
    await expect(append({ set: json, bits: 4, from: set.dataPath }, context)).rejects.toMatchObject({
      code: 'damaged',
    });
  });
});

describe('mix', () => {
  function bitsFile(table: unknown): string {
    const path = join(folder(), 'bits.json');
    writeFileSync(path, JSON.stringify(table));
    return path;
  }

  it('writes one more graph over the same data, and lists it in the manifest', async () => {
    const goal = { bitsFile: bitsFile({ '*': 2, 'layers.0.up': 6 }) };
    const output = join(full, 'model_mixed.onnx');
    const result = await mix({ set: manifest, goal, output, standalone: false }, context);
    expect(result).toMatchObject({ averageBits: 4, layers: [{ layer: 0, bits: 4 }], files: [{ path: output }] });
    expect(
      errorAgainst(
        await run(output),
        weightsAt(set, (index) => (index === 0 ? 2 : 6)),
      ),
    ).toBeLessThan(1e-5);
    const entry = openSet(manifest).manifest.graphs.find(({ file }) => file === 'model_mixed.onnx');
    expect(entry).toMatchObject({ name: 'mix', bits: { 'layers.0.gate': 2, 'layers.0.up': 6 } });
  });

  it('writes a self-contained mix', async () => {
    const output = join(folder(), 'mixed.onnx');
    await mix({ set: manifest, goal: { bitsFile: bitsFile([3]) }, output, standalone: true }, context);
    expect(
      errorAgainst(
        await run(output),
        weightsAt(set, () => 3),
      ),
    ).toBeLessThan(1e-5);
  });

  it.each([[{ 'layers.0.up': 2 }], [{ '*': 5 }], [{ '*': 2, 'layers.7': 4 }], [[2, 4]], ['int4']])(
    'refuses %j',
    async (table) => {
      const output = join(folder(), 'm.onnx');
      const goal = { bitsFile: bitsFile(table) };
      await expect(mix({ set: manifest, goal, output, standalone: false }, context)).rejects.toMatchObject({
        code: 'bits-file',
      });
    },
  );
});

describe('projections that stay above a precision', () => {
  it('keep their own lowest precision in every form', async () => {
    const at = folder();
    const higher = writeSet(at, product(spec), base, new Map([['layers.0.up', 4]]));
    const json = writeWholeSet(at, higher);
    const output = join(folder(), 'm.onnx');
    const places = higher.written.layout.projections;
    const bits = (index: number): Precision => effectiveBits(places[index] ?? { chain: CHAIN }, 2);
    for (const standalone of [true, false]) {
      const { averageBits } = await slice({ set: json, bits: 2, output, standalone, slice: 'prefix' }, context);
      expect(averageBits).toBe(3);
      expect(errorAgainst(await run(output), weightsAt(higher, bits))).toBeLessThan(1e-5);
    }
  });
});
