import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LayoutOptions, ProjectionPlace } from '../../src/quant/layout.js';
import type { Precision } from '../../src/quant/precision.js';
import { denseWeights } from '../../src/set/dense-weights.js';
import { SetTensors } from '../../src/set/set-tensors.js';
import { decodedWeights, product, writeSet } from '../support/nested.js';
import { temporaryFolder } from '../support/paths.js';

let root: string;
beforeAll(() => {
  root = temporaryFolder();
});
afterAll(() => rmSync(root, { recursive: true }));

const CHAIN: readonly Precision[] = [2, 3, 4, 5, 6, 7, 8];
const spec = { k: 172, n: 24 };

describe('dense weights', () => {
  it.each<Omit<LayoutOptions, 'bits'>>([
    { block: 32, decode: 'ab', tables: 'c8' },
    { block: 64, decode: 'ab', tables: 'fp16' },
    { block: 32, decode: 'mid', tables: 'c8' },
    { block: 32, decode: 'signed', tables: 'c8' },
    { block: 32, decode: 'tied', tables: 'c8' },
    { block: 32, decode: 'tied', tables: 'fp16', symmetric: true },
    { block: 'channel', decode: 'ab', tables: 'fp16' },
  ])('are what the stored codes and tables of %j say', (options) => {
    const folder = join(root, JSON.stringify(options).replaceAll(/\W/g, ''));
    mkdirSync(folder);
    const set = writeSet(folder, product(spec), { ...options, bits: CHAIN });
    const { layout } = set.written;
    const tensors = new SetTensors('model.data', set.dataPath);
    const reader = { layout, tensor: tensors.tensor.bind(tensors) };
    const [place] = layout.projections as readonly [ProjectionPlace];
    for (const bits of CHAIN) {
      const found = denseWeights(reader, place, bits);
      const expected = decodedWeights(set.solved.get(place.id) as never, place, layout, bits);
      let worst = 0;
      for (let row = 0; row < spec.n; row++)
        for (let column = 0; column < spec.k; column++) {
          const difference = (found[column * spec.n + row] as number) - (expected[row * spec.k + column] as number);
          worst = Math.max(worst, Math.abs(difference));
        }
      expect(worst).toBeLessThan(1e-5 * Math.max(...expected.map(Math.abs)));
    }
    tensors.close();
  });
});
