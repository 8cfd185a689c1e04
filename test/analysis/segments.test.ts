import { describe, expect, it } from '@jest/globals';
import { executionOf } from '../../src/analysis/execution.js';
import type { ModelAnalysis } from '../../src/analysis/projection.js';
import { planSegments, type Segment } from '../../src/analysis/segments.js';
import type { Graph, Node, Value } from '../../src/onnx/ir/graph.js';
import { decoder } from '../support/decoder.js';

const spec = { layers: 3, hidden: 16, ffn: 48, vocabulary: 40 };
const layerBytes = (4 * 16 * 16 + 3 * 16 * 48) * 4;

const plan = (
  graph: Graph,
  analysis: ModelAnalysis,
  maxWeightBytes: number,
  targets?: readonly Value[],
): readonly Segment[] => {
  const anchors = new Map<Node, number>(analysis.embedding?.nodes.map((node) => [node, -1]));
  for (const { sites, layer } of analysis.projections) for (const site of sites) anchors.set(site.node, layer);
  const execution = executionOf(graph, new Set(anchors.keys()));
  const inputs = analysis.projections.flatMap(({ sites }) => sites.map((site) => site.input));
  const inside = new Set(execution.nodes);
  const reachable = inputs.filter((value) => value.producer === undefined || inside.has(value.producer));
  return planSegments(execution, { targets: targets ?? reachable, maxWeightBytes, anchors });
};

const names = (values: readonly Value[]): readonly string[] => values.map((value) => value.name);

describe('planSegments', () => {
  it('cuts at the residual stream, one layer of weights in each segment', () => {
    const { model, analysis } = decoder(spec);
    const segments = plan(model.graph, analysis, layerBytes * 1.1);
    expect(segments.map((segment) => names(segment.liveOut))).toEqual([
      ['embed_tokens_output'],
      ['layers.0.residual2_output'],
      ['layers.1.residual2_output'],
      [],
    ]);
    expect(segments.map((segment) => names(segment.liveIn))).toEqual([
      [],
      ['embed_tokens_output'],
      ['layers.0.residual2_output'],
      ['layers.1.residual2_output'],
    ]);
    for (const segment of segments.slice(1)) expect(segment.weightBytes).toBeLessThan(layerBytes * 1.1);
  });

  it('repeats masks in every segment instead of carrying them', () => {
    const { model, analysis } = decoder(spec);
    const [, , third] = plan(model.graph, analysis, layerBytes * 1.1);
    expect(names(third?.graphInputs ?? []).toSorted()).toEqual(['attention_mask', 'input_ids']);
    expect(third?.nodes.some((node) => node.name === 'bias')).toBe(true);
  });

  it('puts every target in exactly one segment and leaves the head out', () => {
    const { model, analysis } = decoder(spec);
    const segments = plan(model.graph, analysis, 1);
    const targets = segments.flatMap((segment) => names(segment.targets));
    expect(new Set(targets).size).toBe(targets.length);
    expect(targets).toHaveLength(3 * 4 + 1);
    expect(segments.flatMap((segment) => segment.nodes).some((node) => node.name === 'head')).toBe(false);
  });

  it('drops carried values after their last reader and feeds every reader', () => {
    const { model, analysis } = decoder(spec);
    for (const bound of [1, 3000, layerBytes, layerBytes * 2]) {
      const store = new Set<Value>();
      for (const segment of plan(model.graph, analysis, bound)) {
        for (const value of segment.liveIn) expect(store.has(value)).toBe(true);
        for (const value of segment.liveOut) store.add(value);
        for (const value of segment.retired) store.delete(value);
      }
      expect(store.size).toBe(0);
    }
  });

  it('keeps a model within the bound in one segment', () => {
    const { model, analysis } = decoder(spec);
    const segments = plan(model.graph, analysis, Number.POSITIVE_INFINITY);
    expect(segments).toHaveLength(1);
    expect(segments[0]?.liveIn).toEqual([]);
  });

  it('reads a merged decoder through its branch without past', () => {
    const { model, analysis } = decoder({ ...spec, merged: true });
    const segments = plan(model.graph, analysis, layerBytes * 1.1);
    expect(segments).toHaveLength(4);
    const inputs = new Set(segments.flatMap((segment) => names(segment.graphInputs)));
    expect([...inputs].toSorted()).toEqual(['attention_mask', 'input_ids']);
  });

  it('keeps a light target and the shapes it needs together', () => {
    const { model, analysis } = decoder(spec);
    const shape = model.graph.nodes.find((node) => node.name === 'layers.1.concat')?.outputs[0] as Value;
    const segments = plan(model.graph, analysis, layerBytes * 1.1, [shape]);
    expect(segments.at(-1)?.targets).toEqual([shape]);
    expect(segments.at(-1)?.nodes.some((node) => node.name === 'layers.1.shape')).toBe(true);
  });
});
