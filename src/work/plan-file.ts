/** `PLAN/plan.json`: written once, read by every worker. */
import { existsSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { fail } from '../diagnostics.js';
import { sealedJson } from '../files/seal.js';
import { parseSealed, readSealed } from '../files/sealed-json.js';
import { staged } from '../files/staging.js';
import { isHubName, isHubText } from '../source/index.js';
import type { Plan, PlannedOptions } from './plan-types.js';

/** Path of the file in a plan's folder. */
export const planPath = (folder: string): string => join(folder, 'plan.json');

/** What must hold of a file before anything else of it is read; the seal covers the rest. */
const envelope = z.looseObject({
  format: z.literal('matquant-plan'),
  version: z.literal(1),
  tool: z.string(),
  revision: z.number(),
  runtime: z.string(),
  units: z.array(z.looseObject({ id: z.string(), kind: z.string(), needs: z.array(z.string()) })).min(1),
});

/** Writes a plan: staged, renamed, the same text for the same plan. */
export const writePlan = (folder: string, plan: Plan): void =>
  staged(planPath(folder), (path) => writeFileSync(path, planText(plan)));

export const planText = (plan: Plan): string => sealedJson(plan, 1);

/** Reads a plan. Error codes `plan` where there is none, and `damaged-file` where it is not as it was written. */
export function readPlan(folder: string): Plan {
  const path = planPath(folder);
  if (!existsSync(path)) fail('plan', folder, 'There is no plan.json in this folder');
  return planOf(readSealed(path), path);
}

/** The plan that a text at `at` holds. Error codes `plan` where it holds something else, and `damaged-file`. */
export const parsePlan = (text: string, at: string): Plan => planOf(parseSealed(text, at), at);

function planOf(value: unknown, at: string): Plan {
  const parsed = envelope.safeParse(value);
  if (!parsed.success) return fail('plan', at, 'The file is not a plan of this tool');
  return parsed.data as unknown as Plan;
}

/** Whether a plan that was read from a folder is still in it. */
export function holdsPlan(folder: string, plan: Plan): boolean {
  try {
    return planText(readPlan(folder)) === planText(plan);
  } catch {
    return false;
  }
}

/** A path as a plan holds it: relative where it lies beside the plan's folder or below, so that both may be mounted elsewhere. */
export function portable(path: string, folder: string): string {
  const way = relative(resolve(folder), resolve(path)).replaceAll('\\', '/');
  return /^(\.\.\/)?(?!\.\.)[^/]/.test(way) && !/^([A-Za-z]:|\/)/.test(way) ? way : resolve(path);
}

/** The options with paths of this machine. */
export function optionsHere({ options }: Plan, folder: string): PlannedOptions {
  const at = (path: string): string => resolve(folder, path);
  const { model, text, statistics } = options;
  return {
    ...options,
    model: isHubName(model) ? model : at(model),
    ...(text !== undefined && { text: mapText(text, at) }),
    ...(statistics !== undefined && { statistics: statistics.map(at) }),
  };
}

type Text = NonNullable<PlannedOptions['text']>;

/** The options with every path changed. */
export function mapText(text: Text, change: (path: string) => string): Text {
  if ('ids' in text) return { ids: change(text.ids) };
  const { files, tokenizer } = text;
  return {
    ...text,
    files: files.map((file) => (isHubText(file) || file === 'self' ? file : change(file))),
    ...(tokenizer !== undefined && { tokenizer: change(tokenizer) }),
  };
}
