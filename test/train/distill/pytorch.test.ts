/** Whole decoders against PyTorch: divergence and gradients of scripts/make-distill-fixture.py. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { analyse } from '../../../src/analysis/projections.js';
import { importModel } from '../../../src/onnx/convert/import.js';
import { readHints } from '../../../src/runtime/hints.js';
import { ortRuntime } from '../../../src/runtime/ort.js';
import { Chain } from '../../../src/train/distill/chain.js';
import { openTeacher } from '../../../src/train/distill/teacher.js';
import { DistillText } from '../../../src/train/distill/text.js';
import { gridStudent, projectionOf, tablesOf } from '../../support/distill.js';
import { fixture } from '../../support/paths.js';
import { gemma3, mistral } from '../../support/stories.js';

interface Expected {
  readonly windows: readonly (readonly number[])[];
  readonly loss: number;
  readonly gradients: Readonly<
    Record<string, { readonly scale: readonly number[]; readonly offset: readonly number[] }>
  >;
}

const { block, cases } = JSON.parse(readFileSync(fixture('calibrate/decoder-gradients.json'), 'utf8')) as {
  readonly block: number;
  readonly cases: Readonly<Record<string, Expected>>;
};

const distance = (a: Float32Array, b: readonly number[]): number =>
  Math.hypot(...b.map((value, at) => value - (a[at] as number))) / Math.hypot(...b);

describe('a decoder with coded weights has the divergence and the gradients of PyTorch, within 1e-3', () => {
  it.each([
    ['mistral-656k', mistral],
    ['gemma3-tiny', gemma3],
  ])('%s', async (name, path) => {
    const { windows, loss: expected, gradients: slopes } = cases[name] as Expected;
    const [model, hints] = [importModel(path), readHints(path)];
    const analysis = analyse(model);
    const text = new DistillText(windows.map((window) => Int32Array.from(window)));
    const student = Object.keys(slopes).map((id) => gridStudent(projectionOf(analysis, id), block));
    const shared = { model, analysis, runtime: ortRuntime, machine: { threads: 1, memoryBytes: 1e8 }, hints };
    const teacher = await openTeacher({ ...shared, modelDigest: name, text });
    const chain = new Chain({ ...shared, student, ids: undefined });
    try {
      const example = text.example([0, 1], 2);
      const taught = { example, teacher: teacher.states(example.rows) };
      const { loss, gradients } = await chain.step(taught, tablesOf(student));
      expect(Math.abs(loss / expected - 1)).toBeLessThan(1e-3);
      const all = Object.values(slopes).flatMap(({ scale, offset }) => [scale, offset]);
      expect(gradients.length).toBe(all.length);
      all.forEach((slope, at) => expect(distance(gradients[at] as Float32Array, slope)).toBeLessThan(1e-3));
    } finally {
      await chain.close();
      teacher.close();
    }
  });
});
