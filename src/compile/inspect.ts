/** A dry run: what is in a model, what would be quantized, what not and why, and what each precision would weigh. */
import type { RefusalCode } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import { checkOptions, type RecipeTaking } from '../options/index.js';
import { bitsPerWeight } from '../quant/layout-use.js';
import { type OldestRuntimes, oldestRuntimes, parseRecipe, type Recipe } from '../recipe/index.js';
import { UNDERSTOOD } from '../runtime/input-roles.js';
import { planLayout } from '../set/index.js';
import { peakMemory } from '../solve/index.js';
import {
  type AskedInputs,
  feedProblems,
  type InspectedInput,
  inspectInputs,
  openInput,
  openSource,
  type Source,
} from '../source/index.js';
import { type Budget, compiledBudget, floatBudget, totalOf } from './budget.js';
import { computesHalf, requireTarget } from './target.js';
import { fitRest } from './target-size.js';

/** The options of `inspect` with all defaults filled in; `InspectInput` is what a caller passes. */
export interface InspectOptions {
  /** ONNX file of a float export. */
  readonly model: string;
  /** How the model would be compiled. */
  readonly recipe: Recipe;
  /** Most bytes of the smallest model with its graph. */
  readonly targetBytes?: number;
}

/** One line of the table: a projection that can be quantized, or a product that is refused. */
export interface InspectedProjection {
  readonly layer: number | null;
  readonly role: string | null;
  readonly id: string;
  readonly node: string;
  readonly k: number | null;
  readonly n: number | null;
  readonly status: 'quantizable' | 'refused';
  readonly code?: RefusalCode;
  readonly reason?: string;
}

/** What one precision takes: the whole download, and bits per quantized weight. */
export interface InspectedSize {
  readonly bytes: number;
  /** The same by part. */
  readonly budget: Budget;
  readonly storedBitsPerWeight: number;
}

/** What is in a model, what would be quantized, what not and why. */
export interface InspectResult {
  readonly path: string;
  /** The recipe, fitted to the target size where one was given. */
  readonly recipe: Recipe;
  /** Name and version of the exporter, as the model has them. */
  readonly producer: string;
  /** Version of the default operator set. */
  readonly opset: number;
  /** Number of decoder layers with a feed-forward block. */
  readonly layers: number;
  /** Activation of the feed-forward blocks; null if none was found. */
  readonly activation: string | null;
  /** Token embedding and head; null if none was found. */
  readonly embedding: { readonly vocabulary: number; readonly hidden: number; readonly head: string } | null;
  /** Other tables that are looked up by token ids, such as the vectors for each layer of Gemma 3n: `embeddingBits` is for them too. */
  readonly tables: readonly { readonly at: string; readonly vocabulary: number; readonly hidden: number }[];
  /** Passes that changed the graph when it was read, with the number of changes. */
  readonly passes: readonly { readonly name: string; readonly changes: number }[];
  readonly projections: readonly InspectedProjection[];
  /** What each input is fed with. */
  readonly inputs: readonly InspectedInput[];
  /** Reasons why `compile` refuses the model with any recipe; usually empty. */
  readonly problems: readonly string[];
  /** The inputs that can be fed, as a sentence. */
  readonly understood: string;
  /** Bytes of the float model. */
  readonly floatBytes: number;
  /** Bytes by part as they are stored now; the head's may repeat the embedding (`embedding.head` is copy). */
  readonly budget: Budget;
  /** Size of each precision, by name such as `int4`. */
  readonly sizes: Readonly<Record<string, InspectedSize>>;
  /** Oldest versions of the runtimes that run each model of the set. */
  readonly runtimes: Readonly<Record<string, OldestRuntimes>>;
  /** Estimated memory of a compilation, without activations and the check of the graphs, which use up to `memoryBytes` more. */
  readonly peakMemoryBytes: number;
}

/** What `inspect` takes; the recipe is `best` by default. */
export type InspectInput = RecipeTaking<InspectOptions, 'targetBytes'> & Pick<AskedInputs, 'file' | 'hub'>;

/**
 * Reads a model and reports what `compile` would do with it. Writes nothing. Fails with the code of whatever makes the model
 * unreadable.
 */
export async function inspect(input: InspectInput, context: Context = silentContext()): Promise<InspectResult> {
  const checked = checkOptions<InspectOptions & AskedInputs>('inspect', input);
  const options = { ...checked, model: (await openInput(checked.model, checked, context)).graph };
  const asked = parseRecipe(options.recipe ?? { preset: 'best' });
  const { source, recipe } = fitRest(openSource(options.model, asked), asked, options.targetBytes);
  requireTarget(source, recipe, context, recipe.target !== 'openvino');
  const { model, analysis } = source;
  const budget = floatBudget(source);
  return {
    path: options.model,
    recipe,
    producer: `${model.producerName} ${model.producerVersion}`.trim(),
    opset: model.opsets.get('') ?? 0,
    layers: analysis.layers,
    activation: analysis.activation ?? null,
    embedding:
      analysis.embedding === undefined
        ? null
        : {
            vocabulary: analysis.embedding.vocabulary,
            hidden: analysis.embedding.hidden,
            head: analysis.embedding.head,
          },
    tables: analysis.tables.map(({ weight, vocabulary, hidden }) => ({ at: weight.source.name, vocabulary, hidden })),
    passes: source.rewrites.flatMap(({ name, changes: { length } }) => (length > 0 ? [{ name, changes: length }] : [])),
    projections: rows(source),
    inputs: inspectInputs(model, source.path),
    problems: feedProblems(model),
    understood: UNDERSTOOD,
    floatBytes: totalOf(budget),
    budget,
    sizes: sizesOf(source, recipe),
    runtimes: oldestRuntimes(recipe, { half: computesHalf(source), nested: recipe.target !== 'openvino' }),
    peakMemoryBytes: peakMemory(source, recipe),
  };
}

function rows(source: Source): readonly InspectedProjection[] {
  const taken = source.chosen.map(({ projection }): InspectedProjection => {
    const { layer, role, id, k, n } = projection;
    return { layer, role, id, node: projection.sites[0]?.node.name ?? '', k, n, status: 'quantizable' };
  });
  const left = source.left.map(({ at, code, reason, role, layer, k, n }): InspectedProjection => {
    return {
      layer: layer ?? null,
      role: role ?? null,
      id: at,
      node: at,
      k: k ?? null,
      n: n ?? null,
      status: 'refused',
      code,
      reason,
    };
  });
  return [...taken, ...left];
}

/** Size of each model of the set. */
function sizesOf(source: Source, recipe: Recipe): Record<string, InspectedSize> {
  const layout = planLayout(source, recipe);
  const entries = recipe.bits
    .toSorted((a, b) => a - b)
    .map((bits) => {
      const budget = compiledBudget(source, recipe, bits);
      const { stored } = bitsPerWeight(layout, () => bits, false);
      return [`int${bits}`, { bytes: Math.ceil(totalOf(budget)), budget, storedBitsPerWeight: stored }] as const;
    });
  return Object.fromEntries(entries);
}
