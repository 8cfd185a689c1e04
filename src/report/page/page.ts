/** The report of a set as one HTML page that loads nothing: style and plots are inside, there are no scripts. */
import { significant } from '../../format.js';
import type { ReportData } from './data.js';
import { element, type Html, markupOf, raw } from './html.js';
import { type Section, sectionOf } from './section.js';
import { codesSection } from './section-codes.js';
import { errorsSection } from './section-layers.js';
import { mixesSection } from './section-mixes.js';
import { originSection, timesSection } from './section-origin.js';
import { qualitySection } from './section-quality.js';
import { scopeSection } from './section-scope.js';
import { sizesSection } from './section-sizes.js';
import { trainingSection } from './section-training.js';
import { STYLE } from './style.js';

/** The text of the page. Deterministic. */
export async function renderPage(data: ReportData): Promise<string> {
  const sections = await sectionsOf(data);
  const title = `${data.name}: report of a nested set`;
  const page = element(
    'html',
    { lang: 'en' },
    element(
      'head',
      {},
      element('meta', { charset: 'utf-8' }),
      element('meta', { name: 'viewport', content: 'width=device-width, initial-scale=1' }),
      // Keeps browsers from asking for /favicon.ico.
      element('link', { rel: 'icon', href: 'data:,' }),
      element('title', {}, title),
      element('style', {}, raw(STYLE)),
    ),
    element(
      'body',
      {},
      header(data, sections),
      element('main', { id: 'main' }, notes(data.notes), sections.map(sectionOf)),
      element('footer', {}, `Written by ${data.provenance.tool}.`),
    ),
  );
  return `<!doctype html>\n${markupOf(page)}\n`;
}

async function sectionsOf(data: ReportData): Promise<readonly Section[]> {
  const sections = [
    await sizesSection(data),
    data.evaluations.length + data.tasks.length > 0 ? await qualitySection(data) : undefined,
    scopeSection(data),
    await mixesSection(data),
    await errorsSection(data),
    await codesSection(data),
    await trainingSection(data),
    timesSection(data),
    originSection(data),
  ];
  return sections.filter((section) => section !== undefined);
}

function header({ name, source, models, projections }: ReportData, sections: readonly Section[]): Html {
  const weights = projections.reduce((sum, { k, n }) => sum + k * n, 0);
  const layers = new Set(projections.map(({ layer }) => layer)).size;
  const summary = [
    `${projections.length} projections (${significant(weights / 1e6)} million weights, ${layers} layers) of ${source}, `,
    `stored once and read as ${models.map((model) => model.name).join(', ')}.`,
  ];
  const links = sections.map(({ id, title }) => element('li', {}, element('a', { href: `#${id}` }, title)));
  return element(
    'header',
    {},
    element('h1', {}, name),
    element('p', {}, summary),
    element('nav', { 'aria-label': 'Sections' }, element('ul', {}, links)),
  );
}

const notes = (all: readonly string[]): Html | undefined =>
  all.length === 0
    ? undefined
    : element(
        'div',
        { class: 'notes', role: 'note' },
        'Not in this report:',
        element(
          'ul',
          {},
          all.map((note) => element('li', {}, note)),
        ),
      );
