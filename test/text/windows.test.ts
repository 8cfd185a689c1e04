/** Windows for models that take texts of one length only. */
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { fixedShapeOf } from '../../src/analysis/fixed-shape.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { readWindows } from '../../src/text/windows.js';
import { temporaryFolder } from '../support/paths.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));
const ids = join(root, 'ids.jsonl');
writeFileSync(ids, '[1,2,3]\n[1,2,3,4,5]\n[9,8,7,6]\n');

describe('readWindows', () => {
  it('cuts long windows and leaves short ones out where a length is fixed', () => {
    const windows = readWindows({ ids }, { window: 512, exactly: 4 });
    expect(windows.map((window) => [...window])).toEqual([
      [1, 2, 3, 4],
      [9, 8, 7, 6],
    ]);
  });

  it('refuses text that is too short everywhere', () => {
    expect(() => readWindows({ ids }, { window: 512, exactly: 6 })).toThrow(
      expect.objectContaining({ code: 'empty-text', message: expect.stringContaining('exactly 6 tokens') }),
    );
  });
});

describe('fixedShapeOf', () => {
  it.each([
    [['batch', 'length'], undefined, undefined],
    [[2, 7], 2, 7],
    [[1, 'length'], 1, undefined],
  ])('%j', (shape, batch, length) => {
    const b = new GraphBuilder({ opset: 18 });
    b.input('input_ids', 'int64', shape);
    expect(fixedShapeOf(b.model())).toEqual({ batch, length });
  });
});
