/**
 * Plots as inline SVG, drawn by Vega-Lite without a DOM. Colours are CSS variables, so one drawing serves light, dark and
 * print. Widths of text are estimated rather than measured: a canvas package that happens to be installed would change them.
 */
import { parse, type Spec, textMetrics, View } from 'vega';
import { type Config, compile, type TopLevelSpec } from 'vega-lite';
import { element, type Html, raw } from './html.js';

// Exported by vega but absent from its types.
declare module 'vega' {
  export const textMetrics: { canvas(use: boolean): void };
}

/** Series colours, told apart on both backgrounds; see style.ts. */
export const COLORS: readonly string[] = Array.from({ length: 8 }, (_, at) => `var(--s${at + 1})`);

const FONT = 'system-ui, sans-serif';
const CONFIG: Config = {
  background: 'transparent',
  aria: false,
  font: FONT,
  view: { stroke: null },
  axis: {
    labelColor: 'var(--fg)',
    titleColor: 'var(--fg)',
    gridColor: 'var(--line)',
    domainColor: 'var(--muted)',
    tickColor: 'var(--muted)',
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
  },
  legend: {
    labelColor: 'var(--fg)',
    titleColor: 'var(--fg)',
    labelFontSize: 12,
    titleFontSize: 12,
    titleFontWeight: 'normal',
    orient: 'bottom',
    columns: 5,
    columnPadding: 4,
    titleLimit: 300,
  },
  header: { labelColor: 'var(--fg)', titleColor: 'var(--fg)', labelFontSize: 12 },
  range: { category: [...COLORS], ordinal: [...COLORS] },
  text: { color: 'var(--fg)', fontSize: 12 },
};

/** The powers of ten among and around positive values: grid lines of a logarithmic axis that stay few. */
export function decades(values: readonly number[]): readonly number[] {
  const [low, high] = [Math.min(...values), Math.max(...values)].map((value) => Math.log10(value));
  if (low === undefined || high === undefined || !Number.isFinite(high - low)) return [];
  const first = Math.floor(low);
  return Array.from({ length: Math.ceil(high) - first + 1 }, (_, at) => Number(`1e${first + at}`));
}

/** A figure of one plot. `label` says in words what it shows; the data are in a table of the same section. */
export async function figure(caption: string, label: string, spec: TopLevelSpec): Promise<Html> {
  const svg = await draw(spec);
  return element(
    'figure',
    {},
    element('figcaption', {}, caption),
    element('div', { class: 'plot', role: 'img', 'aria-label': label }, svg),
  );
}

async function draw(spec: TopLevelSpec): Promise<Html> {
  textMetrics.canvas(false);
  const { spec: compiled } = compile(spec, { config: CONFIG });
  const view = new View(parse(compiled as Spec), { renderer: 'none' });
  try {
    return raw(tidy(await view.toSVG()));
  } finally {
    view.finalize();
  }
}

/** Leaves out what HTML does not need and rounds coordinates to hundredths of a pixel. */
function tidy(svg: string): string {
  return svg
    .replace(/ xmlns(:xlink)?="[^"]*"/g, '')
    .replaceAll(/<path class="foreground"[^>]*display="none"[^>]*\/>/g, '')
    .replaceAll(/ (?:aria-hidden="true"|pointer-events="none"|opacity="1"|class="[^"]*")/g, '')
    .replaceAll(
      / (d|transform|x2|y2|width|height)="([^"]*)"/g,
      (_, name: string, value: string) =>
        ` ${name}="${value.replaceAll(/-?\d+\.\d{3,}/g, (digits) => String(Number(Number(digits).toFixed(2))))}"`,
    )
    .replace('<svg', '<svg aria-hidden="true" focusable="false"');
}
