import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { exportModel } from '../../src/onnx/convert/export.js';
import * as mutate from '../../src/onnx/ir/mutate.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { openSource, requireFfn } from '../../src/source/source.js';
import { ffnModel } from '../support/graphs.js';
import { temporaryFolder } from '../support/paths.js';

/** A block as a model of IR 3 or later writes it, with every weight listed as an input. */
const write = (irVersion: number): string => {
  const model = ffnModel({ irVersion });
  for (const value of model.graph.initializers) mutate.addInput(model.graph, value);
  const path = join(temporaryFolder(), 'model.onnx');
  exportModel(model, path);
  return path;
};

describe('openSource', () => {
  it('takes the weights of a model that had to list them as inputs', () => {
    const { model, chosen, left } = openSource(write(3), parseRecipe({}, 'test'));
    expect(chosen.map(({ projection }) => projection.id)).toEqual(['layers.0.gate', 'layers.0.up', 'layers.0.down']);
    expect(left).toEqual([]);
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(model.irVersion).toBe(4);
  });

  it('leaves weights that a caller may replace', () => {
    const { model, chosen, left } = openSource(write(8), parseRecipe({}, 'test'));
    expect(chosen).toEqual([]);
    expect(left.map(({ code, role }) => `${role} ${code}`)).toEqual(
      ['gate', 'up', 'down'].map((role) => `${role} weight-overridable`),
    );
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['x', 'g', 'u', 'd']);
  });

  it('names the way out of such weights, which are constants on request', () => {
    const path = write(8);
    expect(() => requireFfn(openSource(path, parseRecipe({})))).toThrow(
      expect.objectContaining({ code: 'weight-overridable', sentence: expect.stringContaining('initializerInputs') }),
    );
    const { model, chosen } = openSource(path, parseRecipe({ initializerInputs: 'constant' }));
    expect(chosen.map(({ projection }) => projection.role)).toEqual(['gate', 'up', 'down']);
    expect(model.graph.inputs.map(({ name }) => name)).toEqual(['x']);
    expect(() => requireFfn(openSource(path, parseRecipe({ initializerInputs: 'constant' })))).not.toThrow();
  });
});
