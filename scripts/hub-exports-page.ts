/**
 * The text of docs/hub-exports.md, made from a table of public facts and the rows of docs/models.md that stand for them; `npm run golden`
 * writes it, a test compares it.
 */
import { readFileSync } from 'node:fs';
import { HUB_EXPORTS, type HubExport, SOURCES } from './hub-exports/rows.js';
import { markdownTable } from './markdown.js';

const HEAD = `# Exports on the hub

What \`matquant inspect\` should find in the newest ONNX exports of Gemma and Mistral on the Hugging Face hub.

**This page is made from public descriptions, not from the files.** The files were not downloaded. Layout and operators are what model cards, file lists,
configurations, issues and conversion scripts say (read on 29 November 2026; the sources are at the end). What is found is what is found in the small model of
[docs/models.md](models.md) that is written alike. \`matquant inspect hf:ORG/NAME\` shows what is really there; a model whose layers are listed differently is worth a report.
`;

const TAIL = `## What is the same for all

- Files that are quantized already (\`q4\`, \`q4f16\`, \`q8\`, \`quantized\`, int4 folders of onnxruntime-genai) are refused with \`already-quantized\`. Name the float file
  with \`--file\`. Where there is none, \`--dequantize-source\` takes the weights as they are, with their loss.
- Embedding, encoders and projectors in files of their own are copied. The projections of a vision or audio encoder are not quantized.
- Norms, rotary embeddings and the forms of attention (GroupQueryAttention, MultiHeadAttention, Attention, written out) hold no large weights. They are kept as they are.
- Small products beside the blocks stay float (\`no-gated-ffn\`): routers, per-layer projections and the low-rank branches of Gemma 3n.
`;

interface Cells {
  readonly found: string;
  readonly float: string;
}

/** The rows of docs/models.md by architecture and exporter. */
export function modelRows(page: string): ReadonlyMap<string, Cells> {
  const rows = page.split('\n').filter((line) => line.startsWith('| '));
  const cells = rows.map((line) => line.slice(2, -2).split(' | '));
  return new Map(
    cells.map(([model = '', exporter = '', found = '', float = '']) => [keyOf(model, exporter), { found, float }]),
  );
}

const keyOf = (model: string, exporter: string): string => `${model} | ${exporter}`;

/** What a row of docs/models.md says. @throws RangeError for a row that is not there */
function cellsOf([model, exporter]: readonly [string, string], rows: ReadonlyMap<string, Cells>): Cells {
  const cells = rows.get(keyOf(model, exporter));
  if (cells === undefined) throw new RangeError(`docs/models.md has no row ${keyOf(model, exporter)}`);
  return cells;
}

function section(row: HubExport, rows: ReadonlyMap<string, Cells>): string {
  const found = row.fixtures.map((fixture) => {
    const { found: what, float } = cellsOf(fixture, rows);
    return [...fixture, what, float];
  });
  return [
    `## ${row.models.replaceAll('`', '')}\n`,
    markdownTable(
      ['', ''],
      [
        ['files', row.layout],
        ['operators of the float decoder', row.operators],
        ['differs from the fixtures', row.beyond],
        ['sources', row.sources.map((number) => `[${number}](#sources)`).join(', ')],
      ],
    ),
    found.length === 0 ? '' : `\n${markdownTable(['fixture', 'exporter', 'found', 'stays float'], found)}\n`,
  ].join('\n');
}

/** @param models text of docs/models.md */
export function hubExportsPage(models: string): string {
  const rows = modelRows(models);
  const sources = SOURCES.map((source, index) => `${index + 1}. ${source}`);
  return [HEAD, ...HUB_EXPORTS.map((row) => section(row, rows)), TAIL, `## Sources\n\n${sources.join('\n')}\n`].join(
    '\n',
  );
}

/** Reads the page of models that the hub's exports are compared with. */
export const hubExportsPageOf = (modelsPath: string): string => hubExportsPage(readFileSync(modelsPath, 'utf8'));
