import { describe, expect, it } from '@jest/globals';
import { element, markupOf, raw } from '../../../src/report/page/html.js';
import { layerErrors } from '../../../src/report/page/layer-errors.js';
import { decades } from '../../../src/report/page/plot.js';
import { frontOf } from '../../../src/report/page/plot-pareto.js';
import { binned } from '../../../src/report/page/plot-training.js';
import { ranges, refusalGroups } from '../../../src/report/page/refusal-groups.js';

describe('element', () => {
  it('escapes text and attributes, not markup', () => {
    const made = element('p', { title: '"<&>"', hidden: true, id: undefined }, 'a < b & "c"', raw('<br>'), [1, false]);
    expect(markupOf(made)).toBe('<p title="&quot;&lt;&amp;&gt;&quot;" hidden>a &lt; b &amp; &quot;c&quot;<br>1</p>');
  });

  it('gives void elements no end', () => {
    expect(markupOf(element('meta', { charset: 'utf-8' }))).toBe('<meta charset="utf-8">');
  });
});

describe('frontOf', () => {
  it('keeps what nothing beats in both figures', () => {
    const points = [
      { megabytes: 3, value: 1 },
      { megabytes: 1, value: 5 },
      { megabytes: 2, value: 6 },
      { megabytes: 2, value: 4 },
      { megabytes: 4, value: 1 },
    ];
    expect(frontOf(points)).toEqual([
      { megabytes: 1, value: 5 },
      { megabytes: 2, value: 4 },
      { megabytes: 3, value: 1 },
    ]);
  });
});

describe('layerErrors', () => {
  it('averages over the projections of a layer, lowest precision first', () => {
    const of = (layer: number, before: number) => ({
      id: `${layer}.${before}`,
      layer,
      role: 'up',
      k: 1,
      n: 1,
      codes: [],
      error: { int10: { before: 1, after: 1 }, int2: { before, after: before / 2 } },
    });
    const errors = layerErrors([of(1, 4), of(0, 1), of(0, 3), of(-1, 100)]);
    expect(errors.map(({ precision, layer, before, after }) => [precision, layer, before, after])).toEqual([
      ['int2', 0, 2, 1],
      ['int2', 1, 4, 2],
      ['int10', 0, 1, 1],
      ['int10', 1, 1, 1],
    ]);
  });
});

describe('decades', () => {
  it.each([
    [
      [0.02, 3],
      [0.01, 0.1, 1, 10],
    ],
    [[0.1, 0.1], [0.1]],
    [[], []],
    [[0], []],
  ])('covers %p', (values, expected) => {
    expect(decades(values)).toEqual(expected);
  });
});

describe('refusals', () => {
  it('are one line for the same thing in many layers', () => {
    const refusal = (at: string, code = 'out-of-scope') => ({ at, code, reason: `because ${code}` });
    const groups = refusalGroups([
      refusal('layers.0.q'),
      refusal('layers.1.q'),
      refusal('layers.3.q'),
      refusal('layers.2.q', 'excluded'),
      refusal('head'),
    ]);
    expect(groups.map(({ where, code }) => [where, code])).toEqual([
      ['q in layers 0–1, 3', 'out-of-scope'],
      ['q in layer 2', 'excluded'],
      ['head', 'out-of-scope'],
    ]);
  });

  it('write layers as ranges', () => {
    expect(ranges([7, 0, 1, 2, 5, 8, 9, 2])).toBe('0–2, 5, 7–9');
  });
});

describe('binned', () => {
  it('keeps short curves and takes means of long ones', () => {
    expect(binned([3, 1])).toEqual([
      { step: 1, loss: 3 },
      { step: 2, loss: 1 },
    ]);
    const long = binned(Array.from({ length: 121 }, (_, at) => at));
    expect(long[0]).toEqual({ step: 2, loss: 1 });
    expect(long.at(-1)).toEqual({ step: 121, loss: 120 });
    expect(long).toHaveLength(41);
  });
});
