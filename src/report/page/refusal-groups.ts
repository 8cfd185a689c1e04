/** Refusals as a reader wants them: one line for the same thing in many layers. */
import type { Refusal } from './data.js';

export interface RefusalGroup {
  /** `q in layers 0–17`, or the name of what has no layer. */
  readonly where: string;
  readonly reason: string;
  readonly code: string;
}

/** Groups by what and why, in order of first appearance. */
export function refusalGroups(refused: readonly Refusal[]): readonly RefusalGroup[] {
  const groups = new Map<string, { readonly refusal: Refusal; readonly name: string; readonly layers: number[] }>();
  for (const refusal of refused) {
    const [, layer, name = refusal.at] = /^layers\.(\d+)\.(.+)$/.exec(refusal.at) ?? [];
    const key = JSON.stringify([name, refusal.code, refusal.reason, layer === undefined]);
    const group = groups.get(key) ?? { refusal, name, layers: [] };
    groups.set(key, group);
    if (layer !== undefined) group.layers.push(Number(layer));
  }
  return [...groups.values()].map(({ refusal: { reason, code }, name, layers }) => ({
    where: layers.length === 0 ? name : `${name} in ${layers.length === 1 ? 'layer' : 'layers'} ${ranges(layers)}`,
    reason,
    code,
  }));
}

/** 0–3, 5, 7–9 */
export function ranges(values: readonly number[]): string {
  const runs: [number, number][] = [];
  for (const value of [...new Set(values)].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last !== undefined && last[1] === value - 1) last[1] = value;
    else runs.push([value, value]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(', ');
}
