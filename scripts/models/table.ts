/** The text of docs/models.md: what is found in each model, and how near its int8 form comes to it. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { CompilerError } from '../../src/diagnostics.js';
import { exportModel } from '../../src/onnx/convert/export.js';
import { openSource, requireFfn, type Source } from '../../src/source/source.js';
import { fixture } from '../../test/support/paths.js';
import { markdownTable } from '../markdown.js';
import { applied } from './after.js';
import { type Checked, checked, recipeFor } from './check.js';
import { decoderOf } from './decoder.js';
import type { Row } from './rows.js';

/** One line of the table. */
export interface Line {
  readonly architecture: string;
  readonly exporter: string;
  readonly found: string;
  readonly float: string;
  /** Undefined where nothing was compiled. */
  readonly checked: Checked | undefined;
}

/** A line for each row; with `compiled`, each model is compiled and run. Models stay in folders of `keep` if it is given. */
export async function linesOf(rows: readonly Row[], compiled: boolean, keep?: string): Promise<readonly Line[]> {
  const lines: Line[] = [];
  for (const [at, row] of rows.entries())
    lines.push(await lineOf(row, compiled, keep === undefined ? undefined : join(keep, String(at))));
  return lines;
}

async function lineOf(row: Row, compiled: boolean, keep: string | undefined): Promise<Line> {
  const folder = keep ?? mkdtempSync(join(tmpdir(), 'matquant-models-'));
  mkdirSync(folder, { recursive: true });
  try {
    const path = await written(row, folder);
    const names = {
      architecture: 'spec' in row ? row.spec.name : row.architecture,
      exporter: 'spec' in row ? row.form.name : row.exporter,
    };
    const source = openSource(path, recipeFor(row));
    if (keep !== undefined)
      writeFileSync(join(folder, 'row.json'), JSON.stringify({ ...names, source: basename(path) }));
    return { ...names, ...seen(source), checked: compiled ? await checked(path, row, folder) : undefined };
  } finally {
    if (keep === undefined) rmSync(folder, { recursive: true });
  }
}

/** Path of the model of a row. */
async function written(row: Row, folder: string): Promise<string> {
  const after = 'spec' in row ? (row.form.after ?? []) : (row.after ?? []);
  let path = join(folder, 'model.onnx');
  if ('spec' in row) exportModel(decoderOf(row.spec, row.form), path);
  else cpSync(fixture(`models/${row.fixture}`), folder, { recursive: true });
  for (const [at, step] of after.entries()) path = await applied(path, step, folder, at);
  return path;
}

const ROLES = ['gate', 'up', 'gate_up', 'down', 'q', 'k', 'v', 'qkv', 'o', 'head'] as const;

/** The cells of what is found and what stays float. */
function seen(source: Source): Pick<Line, 'found' | 'float'> {
  const { analysis, left } = source;
  const refused = refusalOf(source);
  const byCount = new Map<number, string[]>();
  for (const role of ROLES) {
    const count = analysis.projections.filter((each) => each.role === role).length;
    if (count > 0)
      byCount.set(count, [...(byCount.get(count) ?? []), role === 'head' ? headText(source) : `\`${role}\``]);
  }
  const found = [...byCount].map(([count, roles]) => `${count} × ${roles.join(' ')}`).join('; ');
  const { embedding } = analysis;
  const others = analysis.tables.length === 0 ? '' : ` and ${analysis.tables.length} other table`;
  const table = embedding === undefined ? 'no embedding' : `embedding${others}`;
  const rewritten = source.rewrites.filter(({ changes }) => changes.length > 0).map(({ name }) => `\`${name}\``);
  const passes = rewritten.length === 0 ? '' : `, after ${rewritten.join(', ')}`;
  const float = refused ?? floatText(left);
  return { found: `${found || 'nothing'}; ${table}${passes}`, float };
}

function headText({ analysis }: Source): string {
  const { head } = analysis.embedding ?? { head: 'untied' };
  return head === 'tied' || head === 'copy' ? 'head (tied)' : 'head';
}

/** Why the whole model is refused, if it is. */
function refusalOf(source: Source): string | undefined {
  try {
    requireFfn(source);
    return undefined;
  } catch (error) {
    if (error instanceof CompilerError) return `refused: \`${error.code}\``;
    throw error;
  }
}

/** Names of products that stay float, by code. */
function floatText(left: Source['left']): string {
  const others = left.filter(({ role }) => role !== 'head');
  const codes = [...new Set(others.map(({ code }) => code))];
  const texts = codes.map((code) => {
    const here = others.filter((each) => each.code === code);
    const names = [...new Set(here.map(({ at }) => nameOf(at)))];
    return `${names.join(', ')} (\`${code}\`)`;
  });
  return texts.join('; ') || '—';
}

/** What a product is called: a name without layer, numbers and operator. */
function nameOf(at: string): string {
  const parts = at
    .split(/[/.]/)
    .filter((part) => !/^(layers?|model|mlp|\d+|MatMul|Gemm|Einsum|attn|self_attn|experts|MatMul_\d+)?$/.test(part));
  return (parts.join('.') || at).replace(/^l\d+_/, '').replace(/_\d+$/, '');
}

const HEAD = `# Models

What is found in decoders of many architectures, as exporters write them. The models of the table are small: two layers, 64 wide, with
random weights, in the operators and the order that the exporter uses; those marked "trained" are the fixtures of this repository. The
table is written by \`node dist/scripts/models-table.js\`. A test compares what is found and what stays float in every row, and the error
of some rows.

- **found**: projections by role. \`gate_up\` and \`qkv\` are projections whose one weight has several roles; each expert is a projection
  of its own. "after" names the passes that rewrite the model when it is read.
- **stays float**: products with a constant weight that are not quantized, with the code of the reason. \`matquant inspect\` prints the
  whole sentence.
- **int8**: the model was compiled with 8 bits for feed-forward, attention, embedding and head. The figure bounds the difference of its
  logits from those of the source in ONNX Runtime: root of the sum of squares, relative to the source, with float
  activations (\`accuracyLevel: 0\`). For mixtures of experts it is the median over tokens, since rounding sends single tokens to other
  experts. "cache": decoding with the cache gave the logits of a pass over the whole text, to 1 %.
  \`scripts/check-models.py\` runs the same models in ONNX Runtime for Python; with version 1.32 all of them are within the same bounds.

## What is not taken

- Matrices that routing looks up in a stack and multiplies token by token (\`expert-weights\`), and mixtures in one operator whose
  activation has no gate. Other forms of experts are rewritten to one product each.
- Small products beside the blocks (\`no-gated-ffn\`): routers, the low-rank branches and the mixing of streams of Gemma 3n, the products
  around its vectors for each layer. \`floatStorage\` halves them.
- Products with integer activations (MatMulInteger, QLinearMatMul), and weights that are quantized, unless \`dequantizeSource\` is set
  (\`already-quantized\`).
- Convolutions and recurrent layers (\`product-form\`).

## Table
`;

/** The page. */
export function modelsPage(lines: readonly Line[]): string {
  const columns = ['architecture', 'exporter', 'found', 'stays float', 'int8'];
  const cells = lines.map(({ architecture, exporter, found, float, checked: result }) => [
    architecture,
    exporter,
    found,
    float,
    result?.text ?? '—',
  ]);
  return `${HEAD}\n${markdownTable(columns, cells)}\n`;
}
