/** Where the set comes from: times, recipe, digests. */
import { byteSize, duration, significant } from '../../format.js';
import type { ReportData } from './data.js';
import { type Child, element, type Html } from './html.js';
import { paragraph, type Section } from './section.js';
import { number, table, text } from './table.js';

export function timesSection({ run }: ReportData): Section | undefined {
  if (run === undefined) return undefined;
  const rows = Object.entries(run.stages).map(([stage, seconds]) => [
    stage,
    `${significant(seconds)} s`,
    `${((100 * seconds) / (run.seconds || 1)).toFixed(0)} %`,
  ]);
  return {
    id: 'times',
    title: 'Time and memory',
    body: [
      paragraph(
        `Compiling took ${duration(run.seconds)}`,
        run.peakMemoryBytes !== undefined && ` and at most ${byteSize(run.peakMemoryBytes)} of memory`,
        '.',
      ),
      table('Time by stage', [text('stage'), number('time'), number('share')], rows),
    ],
  };
}

/** Facts that other sections show: mixes, and the course of training. */
const ELSEWHERE = new Set(['mixes', 'distilled']);

export function originSection({ provenance, recipe, source, dataFile }: ReportData): Section {
  const digests = [
    ['source', source, hash(provenance.sourceSha256 ?? 'not recorded')],
    ['tensors that stay', dataFile, hash(provenance.restSha256)],
    ...provenance.sections.map(({ name, bytes, sha256 }) => [
      `part for ${name}`,
      `${dataFile}, ${byteSize(bytes)}`,
      hash(sha256),
    ]),
  ];
  const facts = Object.entries(provenance.facts).filter(([name]) => !ELSEWHERE.has(name));
  return {
    id: 'origin',
    title: 'Origin',
    body: [
      table('Digests (SHA-256)', [text('what'), text('file'), text('digest')], digests),
      valueTable('Made with', { tool: provenance.tool, ...Object.fromEntries(facts) }),
      valueTable('Recipe', recipe),
    ],
  };
}

function valueTable(caption: string, values: Readonly<Record<string, unknown>>): Html {
  return table(
    caption,
    [text('name'), text('value')],
    Object.entries(values).map(([name, value]) => [name, valueText(value)]),
  );
}

function valueText(value: unknown): Child {
  if (typeof value === 'string') return /^[0-9a-f]{64}$/.test(value) ? hash(value) : value;
  return element('code', {}, JSON.stringify(value));
}

const hash = (digest: string): Html => element('span', { class: 'hash' }, digest);
