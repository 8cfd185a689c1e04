/** A model of several segments, with the head in one of its own: what is saved must not change what is computed. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../../src/compile/compile.js';
import { logitsFor } from '../../../src/evaluate/logits.js';
import { KernelPool } from '../../../src/kernels/pool.js';
import { silentContext } from '../../../src/log.js';
import { DivergenceMeter } from '../../../src/mix/search/divergence.js';
import { type ElasticGraph, elasticGraph } from '../../../src/mix/search/elastic-graph.js';
import { ElasticRunner } from '../../../src/mix/search/elastic-runner.js';
import type { Mix } from '../../../src/mix/search/types.js';
import type { Precision } from '../../../src/quant/precision.js';
import { createRandom } from '../../../src/random.js';
import { parseRecipe } from '../../../src/recipe/recipe.js';
import { openDecoder } from '../../../src/runtime/decoder.js';
import { ortRuntime } from '../../../src/runtime/ort.js';
import { denseWeights } from '../../../src/set/dense-weights.js';
import { type OpenTemplate, openTemplate } from '../../../src/set/set-template.js';
import { SetTensors } from '../../../src/set/set-tensors.js';
import { temporaryFolder } from '../../support/paths.js';
import { gemma3 } from '../../support/stories.js';

const random = createRandom(7);
const windows = [24, 17].map((length) => Int32Array.from({ length }, () => 3 + random.integer(1000)));
let root: string;
let open: OpenTemplate;
let graph: ElasticGraph;
let tensors: SetTensors;
beforeAll(async () => {
  root = temporaryFolder();
  const recipe = parseRecipe(
    { method: 'rtn', decode: 'tied', bits: [8, 4, 3, 2], block: 32, accuracyLevel: 0 },
    'test',
  );
  const machine = { threads: 1, memoryBytes: 1e9, seed: 0, standalone: false, strict: false };
  await compile({ model: gemma3, output: root, name: 'model', recipe, ...machine }, silentContext());
  open = openTemplate(join(root, 'model.json'));
  tensors = new SetTensors('model.data', open.set.dataPath);
  const reader = { layout: open.layout, tensor: tensors.tensor.bind(tensors) };
  graph = elasticGraph(open.template, reader, 400_000);
});
afterAll(() => {
  tensors.close();
  rmSync(root, { recursive: true });
});

it('asks that every placeholder has a place', () => {
  const { layout, template } = open;
  const reader = {
    layout: { ...layout, projections: layout.projections.slice(1) },
    tensor: tensors.tensor.bind(tensors),
  };
  expect(() => elasticGraph(template, reader)).toThrow(`the layout has no projection ${layout.projections[0]?.id}`);
});

function runner(memoryBytes = 1e9): ElasticRunner {
  const reader = { layout: open.layout, tensor: tensors.tensor.bind(tensors) };
  const weights = (place: (typeof open.layout.projections)[number], bits: number) => denseWeights(reader, place, bits);
  const { signal } = silentContext();
  const machine = { threads: 1, memoryBytes, temporary: root };
  return new ElasticRunner({ graph, weights, windows, machine, runtime: ortRuntime, hints: {}, signal });
}

const uniform = (bits: Precision): Mix => new Map(open.layout.projections.map(({ id }) => [id, bits]));
const withLayer = (mix: Mix, at: number, bits: Precision): Mix =>
  new Map([...mix].map(([id, own]) => [id, id.startsWith(`layers.${at}.`) ? bits : own]));

describe('an elastic model', () => {
  it('is cut into segments, the head apart', () => {
    expect(graph.segments.length).toBeGreaterThan(3);
    expect(graph.head?.n).toBeGreaterThan(1000);
    const ids = graph.segments.flatMap(({ weights }) => weights.map(({ place }) => place.id));
    expect(ids).toEqual(open.layout.projections.map(({ id }) => id));
  });

  it('gives the logits of the graphs of the set', async () => {
    const elastic = runner();
    try {
      for (const bits of [2, 4, 8] as const) {
        const decoder = await openDecoder(ortRuntime, join(root, `model_int${bits}.onnx`), { threads: 1 });
        for (const [window, ids] of windows.entries()) {
          const expected = await logitsFor(decoder, ids);
          const found = await elastic.logits(window, uniform(bits));
          expect(found.positions).toBe(ids.length);
          for (const position of [0, ids.length - 1]) {
            const [own, other] = [found.row(position), expected.row(position)];
            const worst = own.reduce((most, value, at) => Math.max(most, Math.abs(value - (other[at] as number))), 0);
            expect(worst).toBeLessThan(2e-3);
          }
        }
        await decoder.session.close();
      }
    } finally {
      await elastic.close();
    }
  });

  it('runs a neighbour from where it differs, to the bit, also when sessions and weights make room for others', async () => {
    const [fresh, based, small] = [runner(), runner(), runner(1e5)];
    const count = graph.segments.length;
    try {
      await based.rebase(uniform(4));
      await small.rebase(uniform(4));
      expect(based.segmentRuns).toBe(count * windows.length);
      for (const [layer, bits] of [
        [3, 2],
        [1, 3],
        [0, 8],
      ] as const) {
        const mix = withLayer(uniform(4), layer, bits);
        const before = based.segmentRuns;
        const first = graph.segments.findIndex(({ weights }) => weights.some(({ place }) => place.layer === layer));
        for (const window of windows.keys()) {
          const expected = await fresh.logits(window, mix);
          expect((await based.logits(window, mix)).row(5)).toEqual(expected.row(5));
          expect((await small.logits(window, mix)).row(5)).toEqual(expected.row(5));
        }
        expect(based.segmentRuns - before).toBe((count - first) * windows.length);
        await based.rebase(mix);
        await based.rebase(uniform(4));
      }
    } finally {
      for (const each of [fresh, based, small]) await each.close();
    }
  });
});

describe('a meter with a sampled vocabulary', () => {
  it('comes near the divergence over all ids, and knows what it measured', async () => {
    const pool = new KernelPool(1);
    const [one, other] = [runner(), runner()];
    try {
      const shared = { graph, pool, windows, parent: uniform(8) };
      const whole = await DivergenceMeter.open({ ...shared, runner: one, vocabulary: 1e6 });
      const part = await DivergenceMeter.open({ ...shared, runner: other, vocabulary: 600 });
      expect(whole.ids).toBeUndefined();
      expect(part.ids).toBe(600);
      expect((await part.measure(uniform(8))).kl).toBeLessThan(1e-9);
      for (const mix of [uniform(2), withLayer(uniform(8), 2, 2)]) {
        const [all, sampled] = [await whole.measure(mix), await part.measure(mix)];
        expect(all.kl).toBeGreaterThan(0);
        expect(sampled.kl / all.kl).toBeGreaterThan(0.5);
        expect(sampled.kl / all.kl).toBeLessThan(2);
      }
      const { evaluations } = part;
      await part.measure(new Map([...uniform(2)].reverse()));
      expect(part.evaluations).toBe(evaluations);
    } finally {
      await one.close();
      await other.close();
      await pool.close();
    }
  });
});
