/** Sections of the page. Each says what it knows and is left out when there is nothing to say. */
import { type Child, element, type Html } from './html.js';

export interface Section {
  readonly id: string;
  readonly title: string;
  readonly body: readonly Child[];
}

export function sectionOf({ id, title, body }: Section): Html {
  return element(
    'section',
    { id, 'aria-labelledby': `${id}-title` },
    element('h2', { id: `${id}-title` }, title),
    body,
  );
}

export const paragraph = (...children: readonly Child[]): Html => element('p', {}, children);

/** Plots beside one another where there is room. */
export const plots = (...figures: readonly (Html | undefined)[]): Html => element('div', { class: 'plots' }, figures);

/** One plot that may be wider than the page; it scrolls in its own box. */
export const widePlot = (plot: Html): Html => element('div', { class: 'wide' }, plot);

/** Long tables, closed on a screen and open on paper. */
export const details = (summary: string, ...children: readonly Child[]): Html =>
  element('details', {}, element('summary', {}, summary), children);
