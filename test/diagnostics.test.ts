import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { inFlags } from '../src/cli/flag-names.js';
import { CompilerError, ERRORS, REFUSALS } from '../src/diagnostics.js';
import { stagedName, temporaryFolder } from '../src/files/temporary.js';

const folder = mkdtempSync(join(tmpdir(), 'names-'));
afterAll(() => rmSync(folder, { recursive: true }));

describe('errors', () => {
  it.each([
    [join(temporaryFolder('segments', folder), 'segment2.onnx'), 'segment2.onnx'],
    [join(temporaryFolder('any', folder), 'reference.onnx'), 'reference.onnx'],
    [join(stagedName('out/set'), 'model_int8.onnx'), 'out/set/model_int8.onnx'],
    [stagedName('model.onnx'), 'model.onnx'],
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

  it.each([
    ['the file is empty', 'The file is empty'],
    ['`model` is "", and takes a path', 'model is "", and takes a path'],
    ['frequentIds needs a nested embedding', 'frequentIds needs a nested embedding'],
  ])('are sentences on the command line too: %s', (message, shown) => {
    expect(inFlags(new CompilerError('bad-usage', 'model', message), 'compile').message).toBe(shown);
  });

  it('name options, never flags of the command line', () => {
    for (const table of [ERRORS, REFUSALS])
      for (const { summary, remedy } of Object.values(table))
        expect(`${summary} ${remedy}`).not.toMatch(/(^| )--(?!json)[a-z]/);
  });
});
