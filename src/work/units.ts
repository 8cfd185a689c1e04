/** The units of a compilation: a function of the model, the text, the recipe and the number of shards. */
import type { Projection } from '../analysis/projection.js';
import { METHODS, type Recipe } from '../recipe/index.js';
import { type Captures, captureMemory, groupMemory, peakMemory, tableMemory } from '../solve/index.js';
import { quantizesTables, type Source, tokenTablesOf } from '../source/index.js';
import { tokensIn } from '../text/index.js';
import { tunesTables } from '../train/index.js';
import type { PlanUnit, UnitKind, UnitSubject } from './plan-types.js';
import { captureCost, emitCost, solveCost, stageCost, tableCost } from './unit-cost.js';

/** What units are of. */
export interface Planned {
  readonly source: Source;
  readonly recipe: Recipe;
  readonly captures: Captures;
  /** Memory that the plan is made for. */
  readonly memoryBytes: number;
}

/** All units, each behind those it needs. */
export function unitsOf(planned: Planned): readonly PlanUnit[] {
  const captures = captureUnits(planned);
  const measured = captures.map(({ id }) => id);
  const tables = tableUnits(planned, measured);
  const solved = solveUnits(planned, measured);
  const first = [...captures, ...tables, ...solved];
  const stages = stageUnits(planned, first);
  const needs = [...first, ...stages].map(({ id }) => id);
  return [...first, ...stages, emitUnit(planned, needs)];
}

/** One unit for each shard of the text, and one for random token ids where the text is filled up. */
function captureUnits({ source, captures }: Planned): readonly PlanUnit[] {
  const { shards, random, projections } = captures;
  const memoryBytes = captureMemory(source);
  const unit = (id: string, kind: UnitKind, windows: readonly Int32Array[], of: UnitSubject): PlanUnit => {
    const tokens = tokensIn(windows);
    const cost = captureCost(source.analysis.projections, projections, tokens);
    return { id, kind, needs: [], memoryBytes, cost, of: { ...of, windows: windows.length, tokens } };
  };
  return [
    ...shards.map((windows, at) =>
      unit(`capture-${at + 1}`, 'capture', windows, { shard: at + 1, shards: shards.length }),
    ),
    ...(random === undefined ? [] : [unit('capture-random', 'random', random, {})]),
  ];
}

/** The embedding and the head, where the recipe quantizes them. */
function tableUnits({ source, recipe }: Planned, measured: readonly string[]): readonly PlanUnit[] {
  if (!quantizesTables(recipe)) return [];
  return tokenTablesOf(source.analysis).map(
    (table): PlanUnit => ({
      id: `table-${table.name}`,
      kind: 'table',
      needs: table.head === undefined ? [] : measured,
      memoryBytes: tableMemory(table, recipe),
      cost: tableCost(table, recipe),
      of: { table: table.name },
    }),
  );
}

/** Whether groups are solved by themselves: not without statistics, whose solutions nobody keeps, and not one behind another. */
const solvesApart = (recipe: Recipe, { isMeasured }: Captures): boolean =>
  isMeasured && recipe.prefix === undefined && METHODS[recipe.method].trains === undefined;

function solveUnits({ source, recipe, captures }: Planned, measured: readonly string[]): readonly PlanUnit[] {
  if (!solvesApart(recipe, captures)) return [];
  const groups = new Map<string, Projection[]>();
  for (const { projection } of source.chosen)
    groups.set(projection.group, [...(groups.get(projection.group) ?? []), projection]);
  const names = new Set<string>();
  return [...groups].map(([group, projections]) => {
    const [{ k }] = projections as [Projection];
    const n = projections.reduce((sum, each) => sum + each.n, 0);
    return {
      id: uniqueName(`solve-${group}`, names),
      kind: 'solve',
      needs: measured,
      memoryBytes: groupMemory({ k, n }, recipe),
      cost: solveCost({ k, n }, recipe),
      of: { group, projections: projections.map(({ id }) => id) },
    };
  });
}

/** Names of groups come from models; those of units become names of files. */
function uniqueName(wanted: string, taken: Set<string>): string {
  const plain = wanted.replace(/[^\w.-]/g, '_').slice(0, 100);
  let name = plain;
  for (let at = 2; taken.has(name); at++) name = `${plain}-${at}`;
  taken.add(name);
  return name;
}

/** Stages that go through the whole model, one behind the other. */
function stageUnits(planned: Planned, before: readonly PlanUnit[]): readonly PlanUnit[] {
  const { source, recipe, captures } = planned;
  const tokens = tokensIn(captures.text.windows);
  const least = peakMemory(source, recipe);
  const units: PlanUnit[] = [];
  for (const kind of stagesOf(recipe)) {
    const needs = [...before, ...units].map(({ id }) => id);
    const cost = stageCost(kind, source.analysis.projections, recipe, tokens);
    const of: UnitSubject = kind === 'distill' && recipe.distill ? { precisions: recipe.distill.bits } : {};
    // A distillation is cut into segments that fit the memory, and results of other cuts differ in the last digits.
    const memoryBytes = kind === 'distill' ? planned.memoryBytes : least;
    units.push({ id: kind, kind, needs, memoryBytes, cost, of });
  }
  return units;
}

/** The kinds of those stages, in their order. Tables are tuned in the unit that distils, where there is one. */
function stagesOf(recipe: Recipe): readonly ('train' | 'prefix' | 'tune' | 'distill')[] {
  const last = recipe.distill !== undefined ? (['distill'] as const) : tunesTables(recipe) ? (['tune'] as const) : [];
  if (METHODS[recipe.method].trains !== undefined) return ['train', ...last];
  return recipe.prefix === undefined ? last : ['prefix', ...last];
}

/** The check of the graphs is made where it fits the memory, which is therefore that of the plan. */
function emitUnit({ source, memoryBytes }: Planned, needs: readonly string[]): PlanUnit {
  return { id: 'emit', kind: 'emit', needs, memoryBytes, cost: emitCost(source.analysis.projections), of: {} };
}
