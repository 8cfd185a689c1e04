/** Embedding and head from one blob of codes: what ONNX Runtime decodes against plain arithmetic, for every way to tie them. */
import { describe, expect, it } from '@jest/globals';
import { quantizeEmbedding, type TableTarget } from '../../passes/quantize-embedding.js';
import { analyse } from '../../src/analysis/projections.js';
import { modelBytes } from '../../src/onnx/convert/export.js';
import { type Model, nodesOf } from '../../src/onnx/ir/graph.js';
import { float16ToFloat32, float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { encodeColumn } from '../../src/quant/compress.js';
import { blocksOf } from '../../src/quant/grid.js';
import { packMatMulNBits } from '../../src/quant/pack.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import { type HostTensor, integers, type OpenOptions, type Outputs, withSession } from '../../src/runtime/runtime.js';
import { tokenTablesOf } from '../../src/source/token-tables.js';
import { noise } from '../support/decoder.js';
import { packZeroPoints } from '../support/packing.js';
import { BLOCK, COLS, floats, IDS, ROWS, sample, TIES, tensor } from '../support/table-model.js';

const COUNT = COLS / BLOCK;

interface Form {
  readonly bits: 2 | 4 | 8;
  readonly scales: 'float16' | 'float32' | 'c8';
  readonly zero: boolean;
}

/** A random table, packed, and the weights it stands for. */
function randomTable(
  { bits, scales, zero }: Form,
  seed: number,
): { table: TableTarget['table']; weights: Float32Array } {
  const blocks = blocksOf(COLS, BLOCK);
  const codes = Uint8Array.from(noise(ROWS * COLS, seed), (value) => Math.floor((value + 0.5) * 2 ** bits));
  const raw = noise(ROWS * COUNT, seed + 1);
  const coded = encodeColumn(raw, true);
  const half = float32ToFloat16(raw);
  const used = scales === 'c8' ? decoded(coded) : scales === 'float16' ? float16ToFloat32(half) : raw;
  const zeros = Uint8Array.from(noise(ROWS * COUNT, seed + 2), (value) =>
    zero ? Math.floor((value + 0.5) * 2 ** bits) : 2 ** (bits - 1),
  );
  const weights = Float32Array.from(codes, (code, at) => {
    const block = Math.floor(at / BLOCK);
    return (used[block] as number) * (code - (zeros[block] as number));
  });
  const stored =
    scales === 'c8'
      ? {
          scales: tensorOf('int8', [coded.supers.length, 16], coded.codes),
          supers: tensorOf('float16', [coded.supers.length, 1], coded.supers),
        }
      : { scales: tensor(raw, [ROWS, COUNT], scales) };
  const packed = tensorOf('uint8', [ROWS, COUNT, (BLOCK * bits) / 8], packMatMulNBits(codes, ROWS, blocks, bits));
  const zeroBytes = packZeroPoints(zeros, ROWS, COUNT, bits);
  const zeroPoints = zero ? { zeroPoints: tensorOf('uint8', [ROWS, zeroBytes.length / ROWS], zeroBytes) } : {};
  return { table: { bits, block: BLOCK, codes: packed, ...stored, ...zeroPoints }, weights };
}

const decoded = ({ codes, supers }: ReturnType<typeof encodeColumn>): Float32Array =>
  Float32Array.from(codes, (code, at) => code * (float16ToFloat32(supers)[at >> 4] as number));

/** Rewrites `model`; returns the weights that its embedding and its head now stand for. */
function quantized(
  model: Model,
  form: Form,
  accuracyLevel: 0 | 4 = 0,
  lookup: 'fused' | 'standard' = 'fused',
): { embedding: Float32Array; head: Float32Array } {
  const found = tokenTablesOf(analyse(model));
  const made = found.map(({ name, embedding, head }, at) => {
    const { table, weights } = randomTable(form, 10 * at + 5);
    return { weights, target: { name, embedding, head, accuracyLevel, table, lookup } as const };
  });
  runPasses(model, [
    step(
      quantizeEmbedding,
      {},
      made.map(({ target }) => target),
    ),
  ]);
  const [first, last] = [made[0], made.at(-1)];
  return { embedding: first?.weights as Float32Array, head: last?.weights as Float32Array };
}

const run = (model: Model, optimization: NonNullable<OpenOptions['optimization']> = 'all'): Promise<Outputs> =>
  withSession(ortRuntime, modelBytes(model), { threads: 1, optimization }, (session) => {
    const flag: HostTensor = { dtype: 'bool', dims: [], data: Uint8Array.of(1) };
    return session.run({ ids: integers(IDS), ...(session.inputs.length > 1 && { flag }) });
  });

const rowsOf = (weights: Float32Array): Float32Array =>
  Float32Array.from(IDS.flatMap((id) => [...weights.subarray(id * COLS, (id + 1) * COLS)]));

function logitsOf(rows: Float32Array, head: Float32Array): Float64Array {
  return Float64Array.from({ length: IDS.length * ROWS }, (_, at) => {
    const [row, column] = [Math.floor(at / ROWS), at % ROWS];
    let sum = 0;
    for (let k = 0; k < COLS; k++)
      sum += Math.max(0, rows[row * COLS + k] as number) * (head[column * COLS + k] as number);
    return sum;
  });
}

/** Ranges of bytes that hold codes. */
const blobs = (model: Model): number => {
  const codes = [...model.graph.initializers].filter(
    ({ initializer }) => initializer?.byteLength === ROWS * COLS * 0.5,
  );
  return new Set(codes.map(({ initializer }) => initializer?.storage)).size;
};

describe('quantize-embedding', () => {
  const forms: readonly Form[] = [
    { bits: 4, scales: 'c8', zero: false },
    { bits: 4, scales: 'float16', zero: true },
    { bits: 8, scales: 'float16', zero: false },
    { bits: 8, scales: 'float32', zero: true },
    { bits: 2, scales: 'c8', zero: true },
  ];
  const cases = TIES.flatMap((tie) => forms.map((form) => [tie, form.bits, form.scales, form.zero, form] as const));

  it.each(cases)(
    '%s, %i bits, %s scales, zero points %s: rows to the bit, logits to rounding',
    async (tie, _b, _s, _z, form) => {
      const model = sample(tie);
      const { embedding, head } = quantized(model, form);
      const { rows, logits } = await run(model);
      expect((rows as HostTensor).data).toEqual(rowsOf(embedding));
      const expected = logitsOf(rowsOf(embedding), head);
      const largest = Math.max(...expected.map(Math.abs));
      const worst = Math.max(...expected.map((value, at) => Math.abs(value - Number((logits as HostTensor).data[at]))));
      expect(worst).toBeLessThan(3e-6 * largest);
    },
  );

  it.each(TIES)('%s: every table is stored once, and no float table is left', (tie) => {
    const model = sample(tie);
    quantized(model, { bits: 4, scales: 'c8', zero: false });
    expect(blobs(model)).toBe(tie === 'untied' ? 2 : 1);
    const left = [...model.graph.initializers].filter(({ initializer }) => initializer?.dtype === 'float32');
    expect(left.map(({ name }) => name)).toEqual([]);
    const operators = new Set([...nodesOf(model.graph)].map(({ op }) => op));
    for (const gone of ['Gather', 'MatMul', 'Transpose']) expect(operators).not.toContain(gone);
  });

  for (const dtype of ['float32', 'float16'] as const) {
    for (const form of forms) {
      it(`computes ${form.bits}-bit ${form.scales} heads of ${dtype} at every level of optimization`, async () => {
        const model = sample('tied', dtype);
        const { embedding, head } = quantized(model, form, 4);
        const wanted = logitsOf(rowsOf(embedding), head);
        const size = Math.hypot(...wanted);
        for (const level of ['disabled', 'basic', 'extended', 'all'] as const) {
          const { data } = (await run(model, level))['logits'] as HostTensor;
          const got = data instanceof Uint16Array ? float16ToFloat32(data) : (data as Float32Array);
          // int8 activations explain 1 %; codes packed without their scales give zeros.
          expect(Math.hypot(...wanted.map((value, at) => value - (got[at] as number))) / size).toBeLessThan(0.1);
        }
      });
    }
  }

  it('reads the same numbers in float16 graphs, without a Cast', async () => {
    const model = sample('tied', 'float16');
    const { embedding } = quantized(model, { bits: 4, scales: 'float16', zero: false });
    const { rows } = await run(model);
    expect([...nodesOf(model.graph)].filter(({ op }) => op === 'Cast')).toEqual([]);
    expect(float16ToFloat32((rows as HostTensor).data as Uint16Array)).toEqual(
      float16ToFloat32(float32ToFloat16(rowsOf(embedding))),
    );
  });

  for (const bits of [2, 4, 8] as const) {
    it.each(TIES)(`%s: standard operators read the same rows of ${bits} bits, in any shape of ids`, async (tie) => {
      for (const dtype of ['float32', 'float16'] as const) {
        const [form, models] = [
          { bits, scales: 'float16', zero: false } as const,
          [sample(tie, dtype), sample(tie, dtype)],
        ];
        quantized(models[0] as Model, form);
        quantized(models[1] as Model, form, 0, 'standard');
        const operators = new Set([...nodesOf((models[1] as Model).graph)].map(({ op }) => op));
        expect(operators).not.toContain('GatherBlockQuantized');
        const [fused, standard] = [await run(models[0] as Model), await run(models[1] as Model)];
        expect((standard['rows'] as HostTensor).dims).toEqual([IDS.length, COLS]);
        expect((standard['rows'] as HostTensor).data).toEqual((fused['rows'] as HostTensor).data);
      }
    });
  }

  it('keeps the bias of a head', async () => {
    const b = new GraphBuilder({ opset: 18 });
    const x = b.input('x', 'float32', [2, COLS]);
    const bias = noise(ROWS, 9);
    const inputs = [
      x,
      b.constant(tensor(floats(1), [COLS, ROWS], 'float32')),
      b.constant(tensor(bias, [ROWS], 'float32')),
    ];
    b.output(b.op('Gemm', inputs), 'logits', { dtype: 'float32', shape: [2, ROWS] });
    const model = b.model();
    quantized(model, { bits: 4, scales: 'c8', zero: false });
    const zeros: HostTensor = { dtype: 'float32', dims: [2, COLS], data: new Float32Array(2 * COLS) };
    const { logits } = await withSession(ortRuntime, modelBytes(model), {}, (session) => session.run({ x: zeros }));
    expect((logits as HostTensor).data.slice(0, ROWS)).toEqual(bias);
  });

  it('refuses blocks that do not fill a row of the embedding', () => {
    const model = sample('tied');
    const [found] = tokenTablesOf(analyse(model));
    const { table } = randomTable({ bits: 4, scales: 'c8', zero: false }, 1);
    const target = { name: 'embedding', ...found, accuracyLevel: 0, table: { ...table, block: 48 } } as TableTarget;
    expect(() => runPasses(model, [step(quantizeEmbedding, {}, [target])])).toThrow(
      expect.objectContaining({ code: 'unsupported-target' }),
    );
  });
});
