/** The student as a chain of segments: its loss by definition, its gradients by differences, and any number of links alike. */

import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { analyse } from '../../../src/analysis/projections.js';
import { denseTensor } from '../../../src/capture/dense-tensor.js';
import { logitsFor } from '../../../src/evaluate/logits.js';
import { exportModel } from '../../../src/onnx/convert/export.js';
import { importModel } from '../../../src/onnx/convert/import.js';
import { Rewriter } from '../../../src/onnx/rewrite/rewriter.js';
import { decodeTable } from '../../../src/quant/tables.js';
import { openDecoder } from '../../../src/runtime/decoder.js';
import { ortRuntime } from '../../../src/runtime/ort.js';
import { Chain, type TaughtExample } from '../../../src/train/distill/chain.js';
import { columnsOf, withColumns } from '../../../src/train/distill/student.js';
import { openTeacher } from '../../../src/train/distill/teacher.js';
import { DistillText, vocabularyOf } from '../../../src/train/distill/text.js';
import { decodeColumns } from '../../../src/train/table-parameters.js';
import { minMaxStudent, projectionOf, tablesOf } from '../../support/distill.js';
import { temporaryFolder } from '../../support/paths.js';
import { gemma3 } from '../../support/stories.js';

const model = importModel(gemma3);
const analysis = analyse(model);
const WINDOWS = [
  [1, 50, 300, 7, 1000, 42, 9, 77],
  [1, 8, 90, 1200, 5],
];
const text = new DistillText(WINDOWS.map((window) => Int32Array.from(window)));

/** Down projections of the first and last layer in two bits, and one that does not learn. */
const student = ['layers.0.down', 'layers.2.gate', 'layers.3.down'].map((id) =>
  minMaxStudent(projectionOf(analysis, id), id !== 'layers.2.gate'),
);
const tables = tablesOf(student);

const machine = { threads: 1, memoryBytes: 1e8 };

async function withChain<T>(
  options: { readonly maxWeightBytes?: number; readonly ids?: Int32Array },
  use: (chain: Chain, taught: TaughtExample) => Promise<T>,
): Promise<T> {
  const teacher = await openTeacher({
    model,
    analysis,
    modelDigest: 'test',
    text,
    runtime: ortRuntime,
    machine,
  });
  const { ids, ...bound } = options;
  const chain = new Chain({ model, analysis, student, ids, runtime: ortRuntime, machine, ...bound });
  try {
    const example = text.example([0, 1], 2);
    return await use(chain, { example, teacher: teacher.states(example.rows) });
  } finally {
    await chain.close();
    teacher.close();
  }
}

const distance = (a: Float32Array, b: Float32Array): number =>
  Math.hypot(...a.map((value, at) => value - (b[at] as number))) / Math.hypot(...b);

/** log p of every position of a window, by the runtime's logits, over some ids. */
async function logProbabilities(path: string, ids: ArrayLike<number>): Promise<readonly Float64Array[][]> {
  const decoder = await openDecoder(ortRuntime, path, { threads: 1 });
  const found: Float64Array[][] = [];
  for (const window of WINDOWS) {
    const logits = await logitsFor(decoder, window);
    found.push(
      window.map((_, position) => {
        const row = Float64Array.from(Array.from(ids), (id) => logits.row(position)[id] as number);
        const total = Math.log(row.reduce((sum, each) => sum + Math.exp(each), 0));
        return row.map((each) => each - total);
      }),
    );
  }
  await decoder.session.close();
  return found;
}

describe('the loss of a chain', () => {
  it('is the divergence of the outputs of two models, over the ids and positions that count', async () => {
    const ids = vocabularyOf(text.windows, 2048, 100) as Int32Array;
    expect(ids.length).toBeGreaterThanOrEqual(100);
    const quantized = importModel(gemma3);
    const rw = new Rewriter(quantized);
    for (const { projection, codes, columns } of student) {
      const dense = decodeTable(codes.codes, codes.blocks, decodeColumns(columns, codes));
      const target = [...quantized.graph.initializers].find(({ name }) => name === projection.weight.source.name);
      rw.setTensor(target as NonNullable<typeof target>, denseTensor(projection, dense));
    }
    const path = join(temporaryFolder(), 'student.onnx');
    exportModel(quantized, path, {});
    const [p, q] = [await logProbabilities(gemma3, ids), await logProbabilities(path, ids)];
    let sum = 0;
    p.forEach((window, w) => {
      window.forEach((row, position) => {
        row.forEach((log, id) => {
          sum += Math.exp(log) * (log - (q[w]?.[position]?.[id] as number));
        });
      });
    });
    const loss = await withChain({ ids }, (chain, taught) => chain.loss(taught, tables));
    expect(loss).toBeGreaterThan(0.01);
    expect(Math.abs(loss / (sum / 13) - 1)).toBeLessThan(1e-3);
  });
});

describe('gradients of a chain', () => {
  it('are the slopes of the loss, within 2 %', async () => {
    await withChain({}, async (chain, taught) => {
      expect(chain.length).toBe(1);
      const { gradients } = await chain.step(taught, tables);
      const columns = columnsOf(tables);
      expect(gradients.map((gradient) => gradient.length)).toEqual(columns.map((column) => column.length));
      for (const [at, gradient] of gradients.entries()) {
        const norm = Math.hypot(...gradient);
        const moved = (by: number): Promise<number> => {
          const changed = columns.map((column, each) =>
            each === at ? column.map((value, i) => value + (by * (gradient[i] as number)) / norm) : column,
          );
          return chain.loss(taught, withColumns(tables, changed));
        };
        const slope = ((await moved(4e-3)) - (await moved(-4e-3))) / 8e-3;
        expect(Math.abs(slope / norm - 1)).toBeLessThan(0.02);
      }
    });
  });

  it('are those of one segment when it is cut into many', async () => {
    const whole = await withChain({}, (chain, taught) => chain.step(taught, tables));
    await withChain({ maxWeightBytes: 300_000 }, async (chain, taught) => {
      expect(chain.length).toBeGreaterThan(4);
      const { loss, gradients } = await chain.step(taught, tables);
      expect(Math.abs(loss / whole.loss - 1)).toBeLessThan(1e-4);
      gradients.forEach((gradient, at) => {
        expect(distance(gradient, whole.gradients[at] as Float32Array)).toBeLessThan(1e-4);
      });
    });
  });
});

describe('text to distil on', () => {
  it('gives every position of a window the same weight, and none to what fills it up', () => {
    const example = text.example([1], 2);
    expect(example.windows.map((window) => window.length)).toEqual([8, 8]);
    expect([...example.share]).toEqual([...new Array(5).fill(Math.fround(0.2)), ...new Array(11).fill(0)]);
    expect(text.examples([0, 1, 0], 2).map(({ positions }) => positions)).toEqual([13, 8]);
  });

  it('has all of its own ids in the vocabulary, and as many as asked for', () => {
    const ids = vocabularyOf(text.windows, 2048, 100) as Int32Array;
    for (const id of WINDOWS.flat()) expect(ids).toContain(id);
    expect([...ids]).toEqual([...ids].sort((a, b) => a - b));
    expect(vocabularyOf(text.windows, 2048, 2048)).toBeUndefined();
  });
});
