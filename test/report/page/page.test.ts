import { beforeAll, describe, expect, it } from '@jest/globals';
import { renderPage } from '../../../src/report/page/page.js';
import { type Element, findAll, parseMarkup, textOf } from '../../support/markup.js';
import { BARE, REPORT } from '../../support/report-data.js';

let html: string;
let page: Element;
beforeAll(async () => {
  html = await renderPage(REPORT);
  page = parseMarkup(html);
});

const captions = (of: Element): readonly string[] => findAll(of, 'caption').map(textOf);
const rowsOf = (caption: string): readonly (readonly string[])[] => {
  const table = findAll(page, 'table').find((each) => captions(each)[0] === caption);
  if (table === undefined) throw new Error(`no table ${caption}`);
  return findAll(table, 'tr').map(({ children }) =>
    children.map((cell) => (typeof cell === 'string' ? cell : textOf(cell))),
  );
};

describe('the page of a report', () => {
  it('loads nothing and runs nothing', () => {
    expect(html).not.toMatch(/https?:|\/\/|url\(|@import|<script|<iframe|<object|<embed| on[a-z]+=/i);
    for (const name of ['a', 'link']) {
      for (const { attributes } of findAll(page, name)) expect(attributes['href']).toMatch(/^(#|data:,$)/);
    }
    for (const name of ['img', 'image', 'use', 'script', 'source']) expect(findAll(page, name)).toEqual([]);
  });

  it('escapes what comes from files', () => {
    expect(findAll(page, 'h1').map(textOf)).toEqual([REPORT.name]);
    expect(rowsOf('Left as they are').at(-1)).toEqual(['head"><img src=x>', 'shares its weight & more', 'tied-head']);
  });

  it('names its language, its viewport and its encoding', () => {
    expect(findAll(page, 'html')[0]?.attributes['lang']).toBe('en');
    const metas = findAll(page, 'meta').map(({ attributes }) => attributes);
    expect(metas).toContainEqual({ charset: 'utf-8' });
    expect(metas).toContainEqual({ name: 'viewport', content: 'width=device-width, initial-scale=1' });
  });

  it('has a style for light, dark and paper', () => {
    const style = findAll(page, 'style').map(textOf).join('');
    expect(style).toContain('@media (prefers-color-scheme:dark)');
    expect(style).toContain('@media print');
  });

  it('gives every table a caption, column headers and row headers', () => {
    const tables = findAll(page, 'table');
    expect(tables.length).toBeGreaterThan(10);
    for (const table of tables) {
      expect(captions(table)).toHaveLength(1);
      const [head, ...rows] = findAll(table, 'tr');
      expect(findAll(head as Element, 'th').every(({ attributes }) => attributes['scope'] === 'col')).toBe(true);
      for (const row of rows) {
        expect(findAll(row, 'th').map(({ attributes }) => attributes['scope'])).toEqual(['row']);
        expect(row.children).toHaveLength((head as Element).children.length);
      }
    }
  });

  it('describes every plot in words', () => {
    const figures = findAll(page, 'figure');
    expect(findAll(page, 'svg')).toHaveLength(figures.length);
    expect(figures).toHaveLength(19);
    for (const figure of figures) {
      expect(textOf(findAll(figure, 'figcaption')[0] as Element)).not.toBe('');
      const plot = findAll(figure, 'div')[0];
      expect(plot?.attributes['role']).toBe('img');
      expect(plot?.attributes['aria-label']?.length).toBeGreaterThan(20);
    }
  });

  it('takes every colour of a plot from the style', () => {
    for (const svg of findAll(page, 'svg')) {
      const colored = ['path', 'line', 'text', 'rect'].flatMap((name) => findAll(svg, name));
      const colors = colored.flatMap(({ attributes }) => [attributes['fill'], attributes['stroke']]);
      for (const color of new Set(colors)) expect(color ?? 'none').toMatch(/^(none|transparent|var\(--[a-z0-9]+\))$/);
    }
  });

  it('links to sections that are there, each id once', () => {
    const all = ['section', 'h2', 'main']
      .flatMap((name) => findAll(page, name))
      .map(({ attributes }) => attributes['id']);
    const ids = all.filter((id) => id !== undefined);
    expect(new Set(ids).size).toBe(ids.length);
    const links = findAll(page, 'a').map(({ attributes }) => attributes['href']?.slice(1));
    expect(links).toEqual(['sizes', 'quality', 'scope', 'mixes', 'errors', 'codes', 'training', 'times', 'origin']);
    for (const link of links) expect(ids).toContain(link);
  });

  it('says sizes, scores and refusals', () => {
    expect(rowsOf('Sizes by model')[1]).toEqual([
      'int2',
      'tiny_int2.onnx',
      '1.5 MB',
      '353.0 MB',
      '354.5 MB',
      '3.02×',
      '2.00',
      '2.25',
    ]);
    expect(rowsOf('c4: 8176 positions')[1]?.slice(0, 6)).toEqual([
      'tiny.onnx',
      '1.1 GB',
      '0',
      '100 %',
      '3.0000',
      '20.09',
    ]);
    expect(rowsOf('c4: 8176 positions')[2]?.slice(0, 4)).toEqual(['int2', '354.5 MB', '0.500 ± 0.0031', '93.8 %']);
    expect(rowsOf('Left as they are')[1]).toEqual(['q in layers 0–17', 'outside the scope', 'out-of-scope']);
    expect(rowsOf('Codes by precision')[5]?.slice(0, 3)).toEqual(['int8', '256', '54.90 %']);
    expect(rowsOf('Time by stage')[2]).toEqual(['capture', '80.0 s', '40 %']);
  });

  it('says answers, mixes, what a slice costs, and how training went', () => {
    const answers = 'c4: multiple-choice questions, the likeliest answer; normalized by its length';
    expect(rowsOf(answers)[2]).toEqual(['arc_easy', 'int4', '2376', '41.2 ± 1.0 %', '38.0 ± 1.0 %', '93.0 %']);
    const sweep = rowsOf('tiny: one precision per layer, 4088 positions');
    expect(sweep).toHaveLength(10);
    expect(sweep[9]).toEqual(['search 4', '4.00', '4.14', '371.0 MB', '0.0313 ± 0.010', '0.0273', '80', '61 s']);
    expect(rowsOf('How the mixes were found').slice(1)).toEqual([
      ['mix', '2.80', 'local', 'projection', '0.310', 'measured', '40'],
    ]);
    expect(rowsOf('Made with').map(([name]) => name)).toEqual(['name', 'tool', 'calibrationTokens', 'statistics']);
    const damage = rowsOf('KL of one slice alone');
    expect(damage[0]).toEqual(['sliced alone', 'int2', 'int3', 'int4', 'int6']);
    expect(damage[1]).toEqual(['layers.0', '0.188', '0.0469', '0.0117', '0.000732']);
    expect(damage).toHaveLength(1 + 18 * 4);
    expect(rowsOf('Tables distilled end to end')[1]).toEqual(['int2', '100', '51200', '1.10', '0.700']);
    expect(rowsOf('Blocks trained by gradient')[4]?.slice(2)).toEqual([
      'int2 tables',
      '100',
      '0.100',
      '0.0300',
      '0',
      'layers.3.up',
    ]);
  });

  it('is the same for the same data', async () => {
    expect(await renderPage(REPORT)).toBe(html);
  });

  it('leaves out what is not known', async () => {
    const bare = parseMarkup(await renderPage(BARE));
    expect(findAll(bare, 'h2').map(textOf)).toEqual(['Sizes', 'What was quantized', 'Origin']);
    expect(captions(bare)).not.toContain('Left as they are');
    expect(findAll(bare, 'figure')).toHaveLength(1);
  });
});
