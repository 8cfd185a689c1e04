import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { digestOfModel } from '../../src/capture/model-digest.js';
import { nodesOf } from '../../src/onnx/ir/graph.js';
import { verifyOrFail } from '../../src/onnx/ir/verify.js';
import { computesIn } from '../../src/onnx/rewrite/widen-arithmetic.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import { makeTemplate } from '../../src/set/template.js';
import { cloneSource, inFloat32 } from '../../src/source/clone-source.js';
import { openSource } from '../../src/source/source.js';
import { writeHalf } from '../support/half-model.js';
import { fixture, temporaryFolder } from '../support/paths.js';

const mistral = fixture('models/mistral-656k/model.onnx');
const gemma3 = fixture('models/gemma3-tiny/model.onnx');

const recipe = parseRecipe({ method: 'rtn', bits: [4], decode: 'tied', floatStorage: 'float16' }, 'test');

describe('an open source', () => {
  it.each([mistral, gemma3])('is not changed by the template that is made of it (%s)', (path) => {
    const source = openSource(path, recipe);
    const before = digestOfModel(source.model);
    const changes = { entries: new Map(), folds: [], tables: [] };
    const [one, two] = [makeTemplate(source, recipe, changes), makeTemplate(source, recipe, changes)];
    expect(digestOfModel(source.model)).toBe(before);
    expect(digestOfModel(one.model)).not.toBe(before);
    expect(digestOfModel(two.model)).toBe(digestOfModel(one.model));
    expect(source.chosen.every(({ projection }) => projection.weight.tensor.byteLength > 0)).toBe(true);
  });

  it('has copies whose projections are those of the copy', () => {
    const source = openSource(gemma3, recipe);
    const { source: copy, nodes } = cloneSource(source);
    verifyOrFail(copy.model);
    const inside = new Set(nodesOf(copy.model.graph));
    expect(copy.chosen.map(({ projection }) => projection.id)).toEqual(source.chosen.map((each) => each.projection.id));
    for (const [at, { projection }] of copy.chosen.entries()) {
      const original = source.chosen[at]?.projection;
      expect(copy.analysis.projections).toContain(projection);
      expect(projection.weight.tensor).toBe(original?.weight.tensor);
      for (const [which, site] of projection.sites.entries()) {
        expect(inside.has(site.node)).toBe(true);
        expect(nodes.get(original?.sites[which]?.node as never)).toBe(site.node);
        expect(site.node.inputs).toContain(site.input);
      }
    }
    for (const node of copy.analysis.embedding?.nodes ?? []) expect(inside.has(node)).toBe(true);
  });

  it('that computes in float32 is what gradients are of', () => {
    const source = openSource(mistral, recipe);
    expect(inFloat32(source, recipe)).toBe(source);
  });

  it('in half precision has a copy that computes in float32', () => {
    const folder = temporaryFolder();
    const path = join(folder, 'half.onnx');
    writeHalf(mistral, path, 'float16');
    const source = openSource(path, recipe);
    const wide = inFloat32(source, recipe);
    const [narrow] = source.chosen;
    const [first] = wide.chosen;
    expect(wide.model).not.toBe(source.model);
    expect(first?.projection.id).toBe(narrow?.projection.id);
    expect([narrow?.projection.weight.tensor.dtype, first?.projection.weight.tensor.dtype]).toEqual([
      'float16',
      'float32',
    ]);
    expect(computesIn(source.model, 'float16')).toBe(true);
    expect(computesIn(wide.model, 'float16')).toBe(false);
    rmSync(folder, { recursive: true });
  });
});
