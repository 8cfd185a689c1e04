/** Questions to the table of facts. */
import { attentionBitsAt, tableReads } from './floors.js';
import type { Recipe } from './recipe.js';
import { FACTS } from './runtime-facts.js';
import { type Fact, type FormName, type RuntimeName, TARGETS, type TargetName } from './targets.js';

/** The fact about a form in a runtime; the table has one for each pair. */
export function factOf(runtime: RuntimeName, form: FormName): Fact {
  const found = FACTS.find((fact) => fact.runtime === runtime && fact.form === form);
  if (found === undefined) throw new Error(`the table of runtimes says nothing of ${form} in ${runtime}`);
  return found;
}

/** What of a recipe decides which forms its models have. */
/** `half`: products compute in float16; `nested`: planes are joined when a session is made. */
export interface GraphFacts {
  readonly half?: boolean;
  readonly nested?: boolean;
}

export type FormsRecipe = Pick<Recipe, 'attentionBits' | 'bits' | 'embeddingBits' | 'scope' | 'target'>;

/** The forms of the model of one precision: `half` where its products compute in float16, `nested` where it joins planes. */
export function formsOf(recipe: FormsRecipe, bits: number, facts: GraphFacts = {}): readonly FormName[] {
  const { half = false, nested = true } = facts;
  const { embeddingBits, scope, target } = recipe;
  const attention = attentionBitsAt(recipe, bits);
  const containers = new Set<2 | 4 | 8>([containerOf(bits)]);
  if (scope !== 'ffn') containers.add(containerOf(attention));
  const reads = tableReads(recipe)?.[bits];
  if (reads !== undefined) containers.add(containerOf(reads));
  const packed = typeof embeddingBits === 'number' && embeddingBits < 16 ? (embeddingBits as 2 | 4 | 8) : undefined;
  if (packed !== undefined) containers.add(packed);
  const products = [...containers].map((each): FormName => `${half ? 'half' : 'product'}-${each}` as const);
  const isStandard = TARGETS[target].lookup === 'standard' || reads !== undefined;
  const lookup: FormName = isStandard ? 'standard-lookup' : `lookup-${packed ?? 4}`;
  return [
    ...products,
    ...(packed === undefined && reads === undefined ? [] : [lookup]),
    ...(nested ? (['joins'] as const) : []),
  ];
}

/** The oldest version of a runtime that runs all forms, or `null` with the first fact that says that none does. */
export function oldestOf(
  runtime: RuntimeName,
  forms: readonly FormName[],
): { readonly since: string } | { readonly since: null; readonly reason: Fact } {
  const facts = forms.map((form) => factOf(runtime, form));
  const reason = facts.find(({ since }) => since === null);
  if (reason !== undefined) return { since: null, reason };
  const versions = facts.map(({ since }) => since as string).toSorted(byVersion);
  return { since: versions.at(-1) as string };
}

/** Oldest versions by runtime of the model of one precision: `null` where no version runs it. */
export type OldestRuntimes = Readonly<Record<RuntimeName, string | null>>;

const NAMES: readonly RuntimeName[] = ['onnxruntime', 'wasm', 'webgpu', 'genai', 'openvino'];

/** By precision (`int4`): which version of each runtime its model needs. */
export function oldestRuntimes(
  recipe: FormsRecipe & Pick<Recipe, 'bits'>,
  facts: GraphFacts = {},
): Readonly<Record<string, OldestRuntimes>> {
  const entries = recipe.bits
    .toSorted((a, b) => a - b)
    .map((bits) => {
      const forms = formsOf(recipe, bits, facts);
      const oldest = NAMES.map((runtime) => [runtime, oldestOf(runtime, forms).since] as const);
      return [`int${bits}`, Object.fromEntries(oldest) as unknown as OldestRuntimes] as const;
    });
  return Object.fromEntries(entries);
}

/** What keeps the model of a precision from running on a target. */
export function obstacleOf(target: TargetName, forms: readonly FormName[]): Fact | undefined {
  for (const runtime of TARGETS[target].runtimes) {
    const found = oldestOf(runtime, forms);
    if (found.since === null) return found.reason;
  }
  return undefined;
}

const byVersion = (a: string, b: string): number => a.localeCompare(b, 'en', { numeric: true });

/** The width that a runtime reads codes of `bits` bits in. */
const containerOf = (bits: number): 2 | 4 | 8 => (bits <= 2 ? 2 : bits <= 4 ? 4 : 8);
