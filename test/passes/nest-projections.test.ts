import { mkdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { JoinStep } from '../../src/emit/join.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { float16ToFloat32, float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { verify } from '../../src/onnx/ir/verify.js';
import { bytesNeeded, type LayoutOptions } from '../../src/quant/layout.js';
import type { Precision } from '../../src/quant/precision.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { HostTensor, OpenOptions } from '../../src/runtime/runtime.js';
import { decoder, noise } from '../support/decoder.js';
import {
  decodedWeights,
  multiply,
  type ProductSpec,
  product,
  type SetOnDisk,
  writeGraph,
  writeSet,
} from '../support/nested.js';
import { temporaryFolder } from '../support/paths.js';

const CHAIN: readonly Precision[] = [2, 3, 4, 6, 8];
const base: LayoutOptions = { bits: CHAIN, block: 32, decode: 'ab', tables: 'fp16' };

let root: string;
let count = 0;
beforeAll(() => {
  root = temporaryFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

function folder(): string {
  const path = join(root, String(count++));
  mkdirSync(path);
  return path;
}

const ROWS = 3;

/** The largest error of y0 and y1 at one precision, relative to the sum of magnitudes. */
async function errorOf(
  at: string,
  set: SetOnDisk,
  spec: ProductSpec,
  bits: Precision,
  step: JoinStep = 'byte',
  {
    accuracyLevel = 0,
    level = 'all',
  }: { accuracyLevel?: 0 | 4; level?: NonNullable<OpenOptions['optimization']> } = {},
): Promise<number> {
  const { k, n, dtype = 'float32', alpha = 1 } = spec;
  const path = writeGraph(at, set, bits, { step, accuracyLevel });
  const session = await ortRuntime.open(path, { threads: 1, optimization: level });
  const values = noise(ROWS * k, 99);
  const half = float32ToFloat16(values);
  const x = dtype === 'float16' ? float16ToFloat32(half) : values;
  const feed: HostTensor = { dtype, dims: [1, ROWS, k], data: dtype === 'float16' ? half : values };
  const outputs = await session.run({ x: feed });
  await session.close();
  let worst = 0;
  set.written.layout.projections.forEach((place, index) => {
    const solved = set.solved.get(place.id);
    if (solved === undefined) throw new Error(place.id);
    const { y, size } = multiply(x, decodedWeights(solved, place, set.written.layout, bits), k, n);
    const got = outputs[`y${index}`] as HostTensor;
    expect(got.dims).toEqual([1, ROWS, n]);
    const numbers = got.data instanceof Uint16Array ? float16ToFloat32(got.data) : (got.data as Float32Array);
    y.forEach((value, i) => {
      worst = Math.max(worst, Math.abs(value * alpha - (numbers[i] as number)) / size);
    });
  });
  return worst;
}

async function check(
  spec: ProductSpec,
  options: LayoutOptions,
  bits: readonly Precision[],
  tolerance = 1e-5,
): Promise<void> {
  const at = folder();
  const set = writeSet(at, product(spec), options);
  for (const each of bits)
    expect([each, await errorOf(at, set, spec, each)]).toEqual([each, expect.closeTo(0, -Math.log10(2 * tolerance))]);
}

describe('nestProjections', () => {
  it.each([16, 32, 64, 128, 256, 'channel'] as const)('computes every precision with blocks of %s', async (block) => {
    await check({ k: 256, n: 48 }, { ...base, block }, CHAIN);
  });

  for (const decode of ['ab', 'mid', 'signed', 'tied'] as const) {
    it.each(['fp16', 'c8'] as const)(`decodes ${decode} tables stored as %s`, async (tables) => {
      await check({ k: 128, n: 40 }, { ...base, decode, tables }, CHAIN);
    });
  }

  it('decodes a symmetric tied parent without zero points', async () => {
    await check({ k: 64, n: 16 }, { ...base, decode: 'tied', symmetric: true }, CHAIN);
  });

  it.each([[[4]], [[6]], [[8]]] as [Precision[]][])('decodes a tied parent of the one precision %j', async (bits) => {
    await check({ k: 64, n: 16 }, { ...base, bits, decode: 'tied' }, bits);
  });

  it.each([32, 64, 'channel'] as const)('pads a K of 172 in blocks of %s', async (block) => {
    await check({ k: 172, n: 24 }, { ...base, block, tables: 'c8' }, CHAIN);
  });

  it.each([[[2, 4, 8]], [[3, 5, 7]], [[4, 8]], [[2, 8]], [[6]], [[5, 8]], [[7, 8]], [[8]]] as [Precision[]][])(
    'joins the chain %j',
    async (bits) => {
      await check({ k: 96, n: 20 }, { ...base, bits }, bits);
    },
  );

  it.each([7, 8, 9, 10, 11, 13, 14, 17, 18, 21])('works at opset %i', async (opset) => {
    await check({ k: 64, n: 16, opset }, base, CHAIN);
  });

  it.each([7, 9])('repeats scales, joins words and cuts padding at opset %i', async (opset) => {
    await check({ k: 64, n: 16, opset }, { ...base, block: 'channel' }, [2, 8]);
    await check({ k: 64, n: 20, opset }, { ...base, tables: 'c8' }, [2, 8]);
    const at = folder();
    const spec = { k: 96, n: 20, opset };
    expect(await errorOf(at, writeSet(at, product(spec), base), spec, 8, 'word')).toBeLessThan(1e-5);
  });

  it.each([7, 18])('reads the leading dimensions of an X of unknown rank at opset %i', async (opset) => {
    await check({ k: 64, n: 16, ranked: false, opset }, base, [2, 8]);
    await check({ k: 64, n: 16, ranked: false, opset, dtype: 'float16' }, base, [8], 1e-3);
  });

  it('keeps the factor of FusedMatMul', async () => {
    await check({ k: 64, n: 16, alpha: 0.25 }, base, [3, 8]);
  });

  it('computes in float16 graphs, to float16', async () => {
    await check({ k: 128, n: 16, dtype: 'float16' }, { ...base, tables: 'c8' }, CHAIN, 1e-3);
    await check({ k: 128, n: 16, dtype: 'float16' }, { ...base, decode: 'signed' }, CHAIN, 1e-3);
  });

  it.each([[CHAIN], [[3, 5, 8]], [[4, 8]]] as [readonly Precision[]][])('joins the chain %j by words', async (bits) => {
    const at = folder();
    const spec = { k: 96, n: 20 };
    const set = writeSet(at, product(spec), { ...base, bits });
    for (const each of bits) expect(await errorOf(at, set, spec, each, 'word')).toBeLessThan(1e-5);
  });

  for (const dtype of ['float32', 'float16'] as const) {
    for (const tables of ['fp16', 'c8'] as const) {
      it.each([[CHAIN], [[4, 8]], [[8]]] as [readonly Precision[]][])(
        `computes ${dtype} with int8 activations and ${tables} tables at every level of optimization: %j`,
        async (bits) => {
          const at = folder();
          const spec = { k: 128, n: 16, dtype, isolated: true } as const;
          const set = writeSet(at, product(spec), { ...base, bits, tables });
          for (const each of bits) {
            for (const level of ['disabled', 'basic', 'extended', 'all'] as const) {
              // Kernels explain thousandths of the sum of magnitudes; codes packed without scales give zeros, a tenth of it.
              const options = { accuracyLevel: 4, level } as const;
              expect([each, level, (await errorOf(at, set, spec, each, 'byte', options)) < 0.02]).toEqual([
                each,
                level,
                true,
              ]);
            }
          }
        },
      );
    }
  }

  it('shares one block sum between projections of one input, and drops the float weights', () => {
    const at = folder();
    const set = writeSet(at, product({ k: 64, n: 16 }), base);
    const model = importModel(writeGraph(at, set, 4));
    const ops = model.graph.nodes.map((node) => node.op);
    expect(ops.filter((op) => op === 'ReduceSum')).toHaveLength(1);
    expect(ops.filter((op) => op === 'MatMulNBits')).toHaveLength(2);
    expect([...model.graph.initializers].some((value) => value.name.startsWith('weight'))).toBe(false);
    expect(verify(model)).toEqual([]);
    expect(model.graph.nodes.every((node) => node.op === 'Identity' || node.metadata.has('matquant.projection'))).toBe(
      true,
    );
  });

  it('runs exactly the precisions whose bytes are there', async () => {
    const at = folder();
    const spec = { k: 64, n: 32 };
    const set = writeSet(at, product(spec), base);
    truncateSync(set.dataPath, bytesNeeded(set.written.layout, 3));
    expect(await errorOf(at, set, spec, 2)).toBeLessThan(1e-5);
    expect(await errorOf(at, set, spec, 3)).toBeLessThan(1e-5);
    await expect(errorOf(at, set, spec, 4)).rejects.toMatchObject({ code: 'runtime-failed' });
  });

  it('keeps projections above the precision of the model that must stay higher', async () => {
    const at = folder();
    const spec = { k: 64, n: 16 };
    const set = writeSet(at, product(spec), base, new Map([['layers.0.up', 4]]));
    const up = set.written.layout.projections[1];
    expect(up?.chain).toEqual([4, 6, 8]);
    for (const bits of CHAIN) expect(await errorOf(at, set, spec, bits)).toBeLessThan(1e-5);
    truncateSync(set.dataPath, bytesNeeded(set.written.layout, 2));
    expect(await errorOf(at, set, spec, 2)).toBeLessThan(1e-5);
  });

  it('shares the joined codes between the branches of an If, at the speed of a plain graph', async () => {
    const at = folder();
    const { model, analysis } = decoder({ layers: 2, hidden: 64, ffn: 96, vocabulary: 50, merged: true });
    const projections = analysis.projections.filter(({ role }) => role !== 'head');
    const set = writeSet(at, { model, projections }, base);
    const path = writeGraph(at, set, 3);
    const emitted = importModel(path);
    const joined = emitted.graph.nodes.filter((node) => node.op === 'Gather' && node.name.includes('plane'));
    expect(joined).toHaveLength(2 * projections.length);
    const session = await ortRuntime.open(path, { threads: 1 });
    const ids = BigInt64Array.from([1, 2, 3], BigInt);
    const feeds = (flag: number) => ({
      input_ids: { dtype: 'int64', dims: [1, 3], data: ids } as const,
      attention_mask: { dtype: 'int64', dims: [1, 3], data: ids.map(() => 1n) } as const,
      past: { dtype: 'float32', dims: [1, 1, 64], data: new Float32Array(64) } as const,
      use_cache_branch: { dtype: 'bool', dims: [1], data: Uint8Array.of(flag) } as const,
    });
    const [a, b] = [await session.run(feeds(0)), await session.run(feeds(1))];
    await session.close();
    const [name] = Object.keys(a) as [string];
    expect(a[name]?.data).toEqual(b[name]?.data);
  });
});
