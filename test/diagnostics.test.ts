import { describe, expect, it } from '@jest/globals';
import { CompilerError, ERRORS, REFUSALS } from '../src/diagnostics.js';

describe('errors', () => {
  it.each([
    ['/tmp/matquant-segments-Ab3dE9/segment2.onnx', 'segment2.onnx'],
    ['/var/folders/x/matquant-reference-Ab3dE9/reference.onnx', 'reference.onnx'],
    ['out/.set.1234.0a1b2c3d.tmp/model_int8.onnx', 'out/set/model_int8.onnx'],
    ['.model.onnx.77.0a1b2c3d.tmp', 'model.onnx'],
    ['/data/matquant-set/model.onnx', '/data/matquant-set/model.onnx'],
    ['models/a.tmp/model.onnx', 'models/a.tmp/model.onnx'],
  ])('show no temporary path: %s', (path, shown) => {
    const error = new CompilerError('runtime-failed', path, `cannot load ${path}: no`);
    expect([error.at, error.message]).toEqual([shown, `cannot load ${shown}: no`]);
  });

  it('cut what is longer than any path, in no time', () => {
    const started = performance.now();
    for (const text of ['x'.repeat(3e6), './'.repeat(1e6), '.a'.repeat(1e6)])
      expect(new CompilerError('external-missing', text, `no file ${text}.tmp matquant-`).sentence.length).toBeLessThan(
        2000,
      );
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  it('name options, never flags of the command line', () => {
    for (const table of [ERRORS, REFUSALS])
      for (const { summary, remedy } of Object.values(table))
        expect(`${summary} ${remedy}`).not.toMatch(/(^| )--(?!json)[a-z]/);
  });
});
