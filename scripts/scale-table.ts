/**
 * Hours and memory of `best` by model size, from the costs that plans state for their units, which were measured on Gemma 3 270M:
 *   node dist/scripts/scale-table.js [--tokens 32768] [--element-bytes 2]
 * Shapes are those of the published configurations. Prints the table of docs/scale.md.
 */
import { parseArgs } from 'node:util';
import type { Projection } from '../src/analysis/projection.js';
import { parseRecipe } from '../src/recipe/index.js';
import { groupMemory } from '../src/solve/index.js';
import { captureCost, emitCost, solveCost } from '../src/work/unit-cost.js';

/** A decoder: `q` and `kv` are the outputs of the query and of the key projection. */
interface Shape {
  readonly name: string;
  readonly layers: number;
  readonly hidden: number;
  readonly inner: number;
  readonly q: number;
  readonly kv: number;
  readonly vocabulary: number;
}

const SHAPES: readonly Shape[] = [
  { name: 'Gemma 3 270M', layers: 18, hidden: 640, inner: 2048, q: 1024, kv: 256, vocabulary: 262_144 },
  { name: 'Gemma 3 1B', layers: 26, hidden: 1152, inner: 6912, q: 1024, kv: 256, vocabulary: 262_144 },
  { name: 'Gemma 3 4B', layers: 34, hidden: 2560, inner: 10_240, q: 2048, kv: 1024, vocabulary: 262_208 },
  { name: 'Mistral 7B', layers: 32, hidden: 4096, inner: 14_336, q: 4096, kv: 1024, vocabulary: 32_768 },
  { name: 'Gemma 3 27B', layers: 62, hidden: 5376, inner: 21_504, q: 4096, kv: 2048, vocabulary: 262_208 },
];

const { values } = parseArgs({
  options: { tokens: { type: 'string', default: '32768' }, 'element-bytes': { type: 'string', default: '2' } },
});
const tokens = Number(values.tokens);
const recipe = parseRecipe({ preset: 'best', block: 128 }, 'scale-table');

type Part = Pick<Projection, 'k' | 'n' | 'role' | 'group'>;

function layerOf({ hidden, inner, q, kv }: Shape): {
  readonly ffn: readonly Part[];
  readonly attention: readonly Part[];
} {
  const part = (role: Part['role'], group: string, k: number, n: number): Part => ({ role, group, k, n });
  return {
    ffn: [part('gate', 'in', hidden, inner), part('up', 'in', hidden, inner), part('down', 'down', inner, hidden)],
    attention: [
      part('q', 'attention', hidden, q),
      part('k', 'attention', hidden, kv),
      part('v', 'attention', hidden, kv),
      part('o', 'out', q, hidden),
    ],
  };
}

/** Seconds on two cores by stage, and the bytes of the largest unit. */
function costsOf(shape: Shape): { readonly capture: number; readonly solve: number; readonly bytes: number } {
  const { ffn, attention } = layerOf(shape);
  const repeated = (parts: readonly Part[]): Projection[] =>
    Array.from({ length: shape.layers }, (_, layer) =>
      parts.map((part) => ({ ...part, group: `${layer} ${part.group}` }) as Projection),
    ).flat();
  const all = repeated([...ffn, ...attention]);
  const groups = [
    { k: shape.hidden, n: 2 * shape.inner },
    { k: shape.inner, n: shape.hidden },
  ];
  const solve = shape.layers * groups.reduce((sum, group) => sum + solveCost(group, recipe).seconds, 0);
  const layer = [...ffn, ...attention].reduce((sum, { k, n }) => sum + 8 * k * n, 0);
  const embedding = Number(values['element-bytes']) * shape.vocabulary * shape.hidden;
  return {
    capture: captureCost(all, repeated(ffn), tokens, recipe).seconds,
    solve: solve + emitCost(repeated(ffn)).seconds,
    bytes: Math.max(2e8 + layer, 2e8 + embedding, ...groups.map((group) => groupMemory(group, recipe))),
  };
}

const hours = (seconds: number): string => {
  if (seconds < 3600) return `${Math.max(1, Math.round(seconds / 60))} min`;
  return `${(seconds / 3600).toPrecision(2)} h`;
};

console.log(
  '| model | capture, 2 cores | solve and write, 2 cores | all, 16 cores | 16 workers of 8 cores | largest unit | statistics on disk |',
);
console.log('| --- | ---: | ---: | ---: | ---: | ---: | ---: |');
for (const shape of SHAPES) {
  const { capture, solve, bytes } = costsOf(shape);
  const both = capture + solve;
  const disk = shape.layers * 2 * (shape.hidden ** 2 + shape.inner ** 2);
  const cells = [
    shape.name,
    hours(capture),
    hours(solve),
    hours(both / 8),
    hours(both / 64),
    `${(bytes / 1e9).toFixed(1)} GB`,
    `${(disk / 1e9).toPrecision(2)} GB`,
  ];
  console.log(`| ${cells.join(' | ')} |`);
}
