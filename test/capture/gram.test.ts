import { expect, it } from '@jest/globals';
import { GramAccumulator } from '../../src/capture/gram.js';
import { floats, integers } from '../../src/runtime/runtime.js';

const names = {
  group: 'g',
  k: 2,
  bands: ['band'],
  height: 64,
  sum: 'sum',
  rows: undefined,
  change: undefined,
} as const;
const outputs = (gram: number[], sum: number[]) => ({
  band: floats(Float32Array.from(gram), [2, 2]),
  sum: floats(Float32Array.from(sum), [1, 2]),
});

it('adds up batches, and counts every input alike where no row ever came', () => {
  const reached = new GramAccumulator(names);
  reached.add(outputs([0, 0, 0, 0], [0, 0]), 3);
  reached.add(outputs([4, 2, 2, 0], [2, 1]), 3);
  expect(reached.finish()).toMatchObject({ tokens: 6, gram: Float64Array.of(4, 2, 0), sum: Float64Array.of(2, 1) });
  const never = new GramAccumulator(names);
  never.add(outputs([0, 0, 0, 0], [0, 0]), 3);
  expect(never.finish().gram).toEqual(Float64Array.of(1, 0, 1));
});

it('counts the rows that routing chose where the graph gives them', () => {
  const routed = new GramAccumulator({ ...names, rows: 'rows' });
  const shape = (rows: number) => ({ rows: integers([rows, 2]) });
  routed.add({ ...outputs([0, 0, 0, 0], [0, 0]), ...shape(0) }, 5);
  routed.add({ ...outputs([4, 2, 2, 0], [2, 1]), ...shape(2) }, 5);
  expect(routed.finish().tokens).toBe(2);
});
