/** Weights that learn: the likelihood against the runtime's logits, and gradients through rounding by the slope of the loss. */
import { describe, expect, it } from '@jest/globals';
import { analyse } from '../../../src/analysis/projections.js';
import { logitsFor } from '../../../src/evaluate/logits.js';
import { importModel } from '../../../src/onnx/convert/import.js';
import { toFloat32 } from '../../../src/onnx/ir/half.js';
import type { Precision } from '../../../src/quant/precision.js';
import { openDecoder } from '../../../src/runtime/decoder.js';
import { readHints } from '../../../src/runtime/hints.js';
import { ortRuntime } from '../../../src/runtime/ort.js';
import { Chain, type TaughtExample } from '../../../src/train/distill/chain.js';
import { columnsOf, type Learning, withColumns } from '../../../src/train/distill/student.js';
import { DistillText } from '../../../src/train/distill/text.js';
import type { WeightStudent } from '../../../src/train/distill/weight-student.js';
import { projectionOf } from '../../support/distill.js';
import { mistral } from '../../support/stories.js';

const WINDOWS = [
  [1, 50, 300, 7, 1000, 42, 9, 77],
  [1, 8, 90, 1200, 5],
];
const text = new DistillText(WINDOWS.map((window) => Int32Array.from(window)));
const model = importModel(mistral);
const analysis = analyse(model);
const projections = ['layers.0.gate', 'layers.1.down'].map((id) => projectionOf(analysis, id));
const weights: Learning = new Map(
  projections.map(({ id, weight: { tensor } }) => [id, { weight: toFloat32(tensor.bytes(), 'float32').slice() }]),
);

async function withChain<T>(bits: Precision, use: (chain: Chain, taught: TaughtExample) => Promise<T>): Promise<T> {
  const plan = {
    bits: [8, bits] as const,
    parent: 8 as const,
    blockOf: () => 64,
    slice: 'paper' as const,
    symmetric: false,
    learn: new Set<never>(),
    start: 4,
  };
  const student = projections.map((projection): WeightStudent => ({ projection, learns: true, bits, plan }));
  const shared = {
    model,
    analysis,
    runtime: ortRuntime,
    machine: { threads: 1, memoryBytes: 1e9 },
    hints: readHints(mistral),
  };
  const chain = new Chain({ ...shared, student, ids: undefined, objective: 'likelihood' });
  try {
    const example = text.example([0, 1], 2);
    return await use(chain, { example, teacher: new Float32Array(example.share.length * 128) });
  } finally {
    await chain.close();
  }
}

describe('weights in eight bits', () => {
  it('have nearly the likelihood of the float model, by the logits of the runtime', async () => {
    const decoder = await openDecoder(ortRuntime, mistral, { threads: 1 });
    let sum = 0;
    for (const window of WINDOWS) {
      const logits = await logitsFor(decoder, window);
      window.slice(1).forEach((next, position) => {
        const row = Float64Array.from(logits.row(position) as ArrayLike<number>);
        sum += Math.log(row.reduce((total, each) => total + Math.exp(each), 0)) - (row[next] as number);
      });
    }
    await decoder.session.close();
    const loss = await withChain(8, (chain, taught) => chain.loss(taught, weights));
    expect(Math.abs(loss / (sum / 11) - 1)).toBeLessThan(2e-3);
  });

  it('have gradients that the loss shows as slopes over many roundings, within 5 %', async () => {
    await withChain(8, async (chain, taught) => {
      const { gradients } = await chain.step(taught, weights);
      const columns = columnsOf(weights);
      for (const [at, gradient] of gradients.entries()) {
        const norm = Math.hypot(...gradient);
        const moved = (by: number): Promise<number> => {
          const shifted = (value: number, i: number): number => value + (by * (gradient[i] as number)) / norm;
          const changed = columns.map((column, each) => (each === at ? column.map(shifted) : column));
          return chain.loss(taught, withColumns(weights, changed));
        };
        const slope = ((await moved(0.1)) - (await moved(-0.1))) / 0.2;
        expect(Math.abs(slope / norm - 1)).toBeLessThan(0.05);
      }
    });
  });
});

describe('weights in two bits', () => {
  it('are another model, and nearly every weight gets a gradient through rounding', async () => {
    await withChain(2, async (chain, taught) => {
      const { loss, gradients } = await chain.step(taught, weights);
      const whole = await withChain(8, (eight, same) => eight.loss(same, weights));
      expect(Math.abs(loss - whole)).toBeGreaterThan(0.05);
      for (const gradient of gradients)
        expect(gradient.filter((each) => each !== 0).length).toBeGreaterThan(0.5 * gradient.length);
    });
  });
});
