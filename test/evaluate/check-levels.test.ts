/** Graphs that are wrong at one level of optimization, and constants that are never folded, are refused. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { checkLevels, OPTIMIZED, type Ran, ranIn } from '../../src/evaluate/check-levels.js';
import { evaluateModels } from '../../src/evaluate/evaluate.js';
import { verify } from '../../src/evaluate/verify.js';
import { silentContext } from '../../src/log.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { int } from '../../src/onnx/ir/attribute.js';
import type { Model, Node } from '../../src/onnx/ir/graph.js';
import { int64s } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { parseRecipe } from '../../src/recipe/recipe.js';
import type { Decoder } from '../../src/runtime/decoder.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { OpenOptions } from '../../src/runtime/runtime.js';
import { slice } from '../../src/set/slice.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { writeIds } from '../support/stories.js';
import { toy } from '../support/toy-opset.js';

const root = temporaryFolder();
const source = join(root, 'source.onnx');
const folder = join(root, 'set');
const alone = join(folder, 'alone.onnx');

beforeAll(async () => {
  exportModel(toy(), source);
  const recipe = parseRecipe({ method: 'data-free', block: 32, bits: [8, 4] }, 'test');
  await compile({ ...COMPILE, model: source, output: folder, recipe }, silentContext());
  const asked = { set: join(folder, 'm.json'), bits: 8, output: alone, standalone: true, slice: 'prefix' } as const;
  await slice(asked, silentContext());
});
afterAll(() => rmSync(root, { recursive: true }));

/** A changed copy beside the graph. */
function changed(path: string, change: (rw: Rewriter, model: Model) => void): string {
  const model = importModel(path);
  change(new Rewriter(model), model);
  // With digests of its own, as a graph that is wrong from the start would have.
  const record = { metadata: {}, data: 'own' } as const;
  return exportModel(model, join(folder, 'changed.onnx'), { record }).path;
}

const check = (path: string, open: OpenOptions = {}): Promise<void> =>
  checkLevels({
    runtime: ortRuntime,
    path,
    name: 'graph',
    source,
    ids: [1, 2, 3, 4],
    threads: 1,
    open,
    log: silentContext().log,
  });

const productsOf = (model: Model): readonly Node[] => model.graph.nodes.filter(({ op }) => op === 'MatMulNBits');

describe('checkLevels', () => {
  it.each(['m_int4.onnx', 'm_int8.onnx', 'alone.onnx'])('takes %s', async (file) => {
    await check(join(folder, file));
  });

  /** Codes are constant before their scales are, as they were once. */
  const packedEarly = (): string =>
    changed(alone, (rw, model) => {
      for (const node of productsOf(model)) {
        const stored = node.inputs[1]?.producer?.inputs[0];
        if (stored?.initializer === undefined) throw new Error('the codes are constant already');
        rw.replaceInput(node, 1, stored);
      }
    });

  it('refuses codes that are packed without their scales', async () => {
    await expect(check(packedEarly())).rejects.toMatchObject({ code: 'levels-differ' });
  });

  it('takes what an evaluation found while the graph was open, and loads it once more', async () => {
    const good = join(folder, 'm_int8.onnx');
    const ids = [1, 2, 3, 4];
    const opened: OpenOptions[] = [];
    const runtime: typeof ortRuntime = {
      open: (model, options = {}) => {
        if (model !== source) opened.push(options);
        return ortRuntime.open(model, options);
      },
    };
    const found = new Map<string, Ran>();
    const visit = {
      open: OPTIMIZED,
      done: async (path: string, decoder: Decoder) => void found.set(path, await ranIn(decoder, ids)),
    };
    const evaluation = {
      runtime,
      reference: source,
      windows: [Int32Array.of(1, 2, 3, 4, 5)],
      threads: 1,
      speed: false,
    };
    const checkAfter = async (path: string, open: OpenOptions = {}): Promise<void> => {
      const opening = { ...visit, open: { ...visit.open, ...open } };
      await evaluateModels({ ...evaluation, candidates: [path], apart: true, visit: opening });
      const options = { runtime, path, name: 'graph', source, ids, threads: 1, log: silentContext().log };
      await checkLevels(options, found.get(path));
    };
    await checkAfter(good);
    const levels = opened.map(({ optimization = 'all' }) => optimization);
    expect(levels.filter((level) => level === 'all')).toHaveLength(1);
    expect(levels).toContain('disabled');
    await expect(checkAfter(packedEarly())).rejects.toMatchObject({ code: 'levels-differ' });
    await expect(checkAfter(good, { foldLimit: 1000 })).rejects.toMatchObject({ code: 'not-folded' });
  });

  it('is a part of verify', async () => {
    const ids = writeIds(join(root, 'ids.jsonl'), [Int32Array.of(5, 6, 7, 8, 9, 10, 11, 12)]);
    const asked = { original: source, thresholds: { maxKl: 100 }, text: { ids }, window: 8, threads: 1 };
    expect((await verify({ ...asked, candidate: alone }, silentContext())).passed).toBe(true);
    const wrong = verify({ ...asked, candidate: packedEarly() }, silentContext());
    await expect(wrong).rejects.toMatchObject({ code: 'levels-differ' });
  });

  it('refuses constants that are larger than the runtime folds', async () => {
    await expect(check(join(folder, 'm_int8.onnx'), { foldLimit: 1000 })).rejects.toMatchObject({ code: 'not-folded' });
  });

  it('refuses codes whose shape hangs on the input', async () => {
    const hidden = changed(join(folder, 'm_int8.onnx'), (rw, model) => {
      const ids = model.graph.inputs[0];
      const join = productsOf(model)[0]?.inputs[1]?.producer;
      if (ids === undefined || join?.op !== 'Reshape') throw new Error('the graph joins no codes');
      const zero = rw.initializer(model.graph, 'bound', int64s([0]));
      const shape = rw.insert(join, { op: 'Shape', inputs: [ids], name: 'ids/shape' });
      const none = rw.insert(join, { op: 'Slice', inputs: [shape, zero, zero], name: 'ids/none' });
      const whole = rw.insert(join, {
        op: 'Concat',
        inputs: [none, join.inputs[1]],
        attributes: { axis: int(0) },
        name: 'ids/joined',
      });
      rw.replaceInput(join, 1, whole);
    });
    await expect(check(hidden)).rejects.toMatchObject({ code: 'not-folded' });
  });
});
