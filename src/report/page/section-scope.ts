/** What was quantized, what was left as it is, and why. */
import { byteSize, significant } from '../../format.js';
import type { CompiledTable, ReportData, ReportProjection } from './data.js';
import { element, type Html } from './html.js';
import { refusalGroups } from './refusal-groups.js';
import { details, paragraph, type Section } from './section.js';
import { number, table, text } from './table.js';

export function scopeSection({ projections, compiled, rest }: ReportData): Section {
  const refused = compiled?.refused;
  return {
    id: 'scope',
    title: 'What was quantized',
    body: [
      roleTable(projections),
      compiled !== undefined && compiled.tables.length > 0 && vocabularyTable(compiled.tables),
      details(`All ${projections.length} projections`, projectionTable(projections)),
      refused !== undefined && refused.length > 0
        ? table(
            'Left as they are',
            [text('where'), text('reason'), text('code')],
            refusalGroups(refused).map(({ where, reason, code }) => [
              where,
              reason,
              element('code', { class: 'word' }, code),
            ]),
          )
        : refused !== undefined && paragraph('All projections in scope are quantized.'),
      paragraph(
        `${rest.tensors} tensors (${byteSize(rest.bytes)}) lie outside the scope and are stored as the recipe says: embeddings, normalizations and whatever else is no projection in scope.`,
      ),
    ],
  };
}

/** One row per role and shape. */
function roleTable(projections: readonly ReportProjection[]): Html {
  const groups = new Map<string, ReportProjection[]>();
  for (const each of projections) {
    const key = `${each.role} ${each.n} ${each.k} ${each.chain.join()}`;
    groups.set(key, [...(groups.get(key) ?? []), each]);
  }
  const rows = [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const { role, n, k, block, chain } = first;
    const weights = group.length * n * k;
    return [[role, group.length, `${n} × ${k}`, `${significant(weights / 1e6)} M`, block, precisions(chain)]];
  });
  const columns = [
    text('role'),
    number('count'),
    number('outputs × inputs'),
    number('weights'),
    number('block'),
    text('bits'),
  ];
  return table('Quantized projections by role', columns, rows);
}

function vocabularyTable(tables: readonly CompiledTable[]): Html {
  const columns = [
    text('table'),
    number('rows × columns'),
    number('bits'),
    number('block'),
    number('size'),
    number('error before → after'),
  ];
  const rows = tables.map(({ name, tied, rows, cols, bits, block, bytes, error }) => [
    tied ? `${name} (embedding and head)` : name,
    `${rows} × ${cols}`,
    bits,
    block,
    byteSize(bytes),
    `${significant(error.before)} → ${significant(error.after)}`,
  ]);
  return table('Quantized tables of the vocabulary', columns, rows);
}

function projectionTable(projections: readonly ReportProjection[]): Html {
  const columns = [text('projection'), number('outputs × inputs'), number('block'), text('bits')];
  const rows = projections.map(({ id, n, k, block, chain }) => [id, `${n} × ${k}`, block, precisions(chain)]);
  return table('Quantized projections', columns, rows);
}

const precisions = (chain: readonly number[]): string => chain.join(',\u00a0');
