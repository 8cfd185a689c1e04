/** Checks as a small picture: a bar for each as a share of its limit, with its interval, and a line at the limit. */

import type { Check } from './checks.js';
import { figureOf, titleOf } from './shown.js';

const ROW = 22;
const LABEL = 190;
const WIDTH = 300;
const FIGURES = 150;
const TOP = 24;
/** Shares beyond this are cut. */
const MOST = 2;

const COLORS: Readonly<Record<Check['verdict'], string>> = { pass: '#2a7f4f', unclear: '#a8721a', miss: '#b3312c' };

/** `NAME.svg` beside `NAME.md`. */
export const plotBeside = (summary: string): string => `${summary.replace(/\.md$/i, '')}.svg`;

/** An SVG that stands alone; it reads on light and dark pages. */
export function plotOf(checks: readonly Check[]): string {
  const [width, height] = [LABEL + WIDTH + FIGURES, TOP + ROW * checks.length + 8];
  const limit = place(1);
  const rows = checks.map((check, row) => barOf(check, TOP + ROW * row));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>Measured figures as shares of their limits</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...rows,
    `<line x1="${limit}" x2="${limit}" y1="${TOP - 4}" y2="${height - 4}" stroke="#333333" stroke-dasharray="3 2"/>`,
    `<text x="${limit}" y="${TOP - 9}" text-anchor="middle" fill="#333333">limit</text>`,
    '</svg>',
    '',
  ].join('\n');
}

function barOf(check: Check, y: number): string {
  const color = COLORS[check.verdict];
  const middle = y + ROW / 2;
  const end = place(check.value / check.limit);
  const [low, high] = [check.interval?.low, check.interval?.high].map(
    (value) => value !== undefined && place(value / check.limit),
  );
  const whisker =
    low === undefined || low === false
      ? ''
      : `<line x1="${low}" x2="${high}" y1="${middle}" y2="${middle}" stroke="#111111" stroke-width="2"/>`;
  return [
    `<text x="${LABEL - 8}" y="${middle + 4}" text-anchor="end" fill="#111111">${escaped(`${check.model} ${titleOf(check)}`)}</text>`,
    `<rect x="${LABEL}" y="${y + 4}" width="${(end - LABEL).toFixed(1)}" height="${ROW - 8}" fill="${color}"/>`,
    whisker,
    `<text x="${LABEL + WIDTH + 8}" y="${middle + 4}" fill="#111111">${escaped(figureOf(check, check.value))} of ${escaped(figureOf(check, check.limit))}</text>`,
  ].join('');
}

/** Where a share of the limit lies. */
function place(share: number): number {
  const cut = Math.min(MOST, Math.max(0, Number.isFinite(share) ? share : MOST));
  return Number((LABEL + (WIDTH * cut) / MOST).toFixed(1));
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
