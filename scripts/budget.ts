/**
 * Prints where the tree stands against its own size targets, and fails only on the hard cap. Functions are found by
 * indentation, which the formatter guarantees: a header ending in `{` at some depth ends at the first `}` of that depth.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HARD_CAP = 400;
const SOFT_CAP = 250;
const FUNCTION_CAP = 50;

/** Pure tables, which may be as long as what they list. */
const TABLES = new Set(['src/onnx/proto/schema.ts', 'src/diagnostics.ts']);

interface Measured {
  readonly path: string;
  readonly lines: number;
  readonly comments: number;
  readonly longFunctions: readonly string[];
}

const root = fileURLToPath(new URL('../../', import.meta.url));

function sources(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' });
  return names.filter((name) => name.endsWith('.ts')).map((name) => join(folder, name).replaceAll('\\', '/'));
}

function measure(path: string): Measured {
  const lines = readFileSync(join(root, path), 'utf8').trimEnd().split('\n');
  const comments = lines.filter((line) => /^\s*(\/\*|\*|\/\/)/.test(line)).length;
  return { path, lines: lines.length, comments, longFunctions: longFunctions(path, lines) };
}

function longFunctions(path: string, lines: readonly string[]): string[] {
  const header =
    /^(\s*)(?:export |default |async |static |private )*(?:function\*? (\w+)|(?:const (\w+) = .*=>|#?(\w+)\(.*\).*) \{$)/;
  const found: string[] = [];
  lines.forEach((line, start) => {
    const [, indent = '', ...names] = header.exec(line) ?? [];
    const name = names.find((candidate) => candidate !== undefined);
    if (name === undefined || /^(if|for|while|switch|catch)$/.test(name)) return;
    const length = lines.slice(start).findIndex((later) => new RegExp(`^${indent}\\}`).test(later)) + 1;
    if (length > FUNCTION_CAP) found.push(`${path}:${start + 1} ${name} (${length})`);
  });
  return found;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

function report(title: string, files: readonly Measured[]): void {
  const lines = files.map((file) => file.lines);
  const total = lines.reduce((sum, count) => sum + count, 0);
  const comments = files.reduce((sum, file) => sum + file.comments, 0);
  const share = total === 0 ? 0 : Math.round((100 * comments) / total);
  console.log(
    `${title.padEnd(8)} ${files.length} files, ${total} lines, median ${median(lines)}, longest ${Math.max(0, ...lines)}, ` +
      `comments ${share} %`,
  );
}

const product = [...sources('src'), ...sources('passes')].map(measure);
const rest = [...sources('test'), ...sources('scripts')].map(measure);
report('product', product);
report('tests', rest);
for (const { path, lines } of product.filter((file) => file.lines > SOFT_CAP && !TABLES.has(file.path)))
  console.log(`above ${SOFT_CAP} lines: ${path} (${lines})`);
for (const place of product.flatMap((file) => file.longFunctions))
  console.log(`function above ${FUNCTION_CAP} lines: ${place}`);

const broken = [...product, ...rest].filter(({ path, lines }) => lines > HARD_CAP && !TABLES.has(path));
for (const { path, lines } of broken) console.log(`above the cap of ${HARD_CAP} lines: ${path} (${lines})`);
process.exitCode = broken.length === 0 ? 0 : 1;
