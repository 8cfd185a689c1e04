/** The first stages of every verb that starts from a float export: read, import, analyse, and choose what is in scope. */
import { dequantizeWeights } from '../../passes/dequantize-weights.js';
import { dropInitializerInputs } from '../../passes/drop-initializer-inputs.js';
import { expandMoe } from '../../passes/expand-moe.js';
import { splitExperts } from '../../passes/split-experts.js';
import { unstackWeights } from '../../passes/unstack-weights.js';
import { FFN_ROLES, type ModelAnalysis, type Projection, type Refusal, type Role } from '../analysis/projection.js';
import { analyse } from '../analysis/projections.js';
import { fail, REFUSALS, type RefusalCode } from '../diagnostics.js';
import { importModel } from '../onnx/convert/import.js';
import type { Model } from '../onnx/ir/graph.js';
import { Rewriter } from '../onnx/rewrite/rewriter.js';
import { type PassReport, runPasses, step } from '../onnx/rewrite/run-passes.js';
import { computeInFloat32, type HalfType } from '../onnx/rewrite/widen-arithmetic.js';
import { attentionChain, type Bits, type Recipe } from '../recipe/index.js';
import { quantizesTables } from './token-tables.js';
import { rangeProblem } from './weight-range.js';

/** A projection that will be quantized, with the lowest precision it may have in any model of the set. */
export interface Chosen {
  readonly projection: Projection;
  readonly floor: Bits;
  /** The precisions that it has, smallest first, where these are not simply those of the set from its lowest on. */
  readonly chain?: readonly Bits[] | undefined;
}

/** A float export, understood. It is opened once; stages that change a graph change a copy of it. */
export interface Source {
  readonly path: string;
  readonly model: Model;
  readonly analysis: ModelAnalysis;
  /** What passes changed when the model was read. */
  readonly rewrites: readonly PassReport[];
  readonly chosen: readonly Chosen[];
  /** Everything with a constant weight that stays as it is, with a reason: the finder's refusals and the recipe's. */
  readonly left: readonly Refusal[];
}

/**
 * Reads and analyses a model and applies the recipe's scope and overrides. Does not fail when nothing is found. `widened` names
 * the types whose arithmetic is done in float32 instead.
 */
export function openSource(
  path: string,
  recipe: Recipe,
  widened: readonly HalfType[] = recipe.compute === 'float32' ? ['bfloat16'] : [],
): Source {
  const model = importModel(path, { functions: 'inline' });
  const constant = { overridable: recipe.initializerInputs === 'constant' };
  const rewrites = runPasses(model, [
    step(dropInitializerInputs, constant),
    ...(recipe.dequantizeSource ? [step(dequantizeWeights)] : []),
    step(expandMoe),
    step(unstackWeights),
    step(splitExperts),
  ]);
  computeInFloat32(new Rewriter(model), widened);
  return choose({ path, model, analysis: analyse(model), rewrites }, recipe);
}

/** The same source under another recipe. */
export function reopenSource(source: Source, recipe: Recipe): Source {
  return choose(source, recipe);
}

/** Applies the recipe's scope and overrides to a model that was analysed. */
export function choose(read: Omit<Source, 'chosen' | 'left'>, recipe: Recipe): Source {
  const { path, model, analysis, rewrites } = read;
  const chosen: Chosen[] = [];
  const left: Refusal[] = [...analysis.refusals];
  for (const projection of analysis.projections) {
    const verdict = judge(projection, recipe);
    if (projection.role === 'head' && quantizesTables(recipe)) continue;
    const problem = typeof verdict === 'string' ? undefined : rangeProblem(projection.weight.tensor, recipe);
    if (typeof verdict === 'string') left.push(refuse(projection, verdict));
    else if (problem !== undefined) left.push(refuse(projection, 'weight-range', problem));
    else chosen.push({ projection, ...verdict });
  }
  return { path, model, analysis, rewrites, chosen, left };
}

/** True for a source whose weights were quantized and are taken as float ones. */
export const wasQuantized = ({ rewrites }: Pick<Source, 'rewrites'>): boolean =>
  rewrites.some(({ name, changes }) => name === dequantizeWeights.name && changes.length > 0);

/** Ids that the model knows: rows of the embedding, or of the head where the embedding is not part of the model. */
export function vocabularyOf({ model, analysis }: Pick<Source, 'model' | 'analysis'>): number | undefined {
  const stated = model.graph.outputs.find(({ name }) => name === 'logits')?.type?.shape?.at(-1);
  const head = analysis.projections.find(({ role }) => role === 'head');
  return analysis.embedding?.vocabulary ?? head?.n ?? (typeof stated === 'number' ? stated : undefined);
}

/** Fails with the reason a user needs when a source holds nothing to quantize. */
export function requireFfn(source: Source): void {
  if (source.chosen.some(({ projection }) => FFN_ROLES.has(projection.role))) return;
  const quantized = source.left.filter((refusal) => refusal.code === 'already-quantized');
  if (quantized.length > 0) {
    const isAsked = source.rewrites.some(({ name }) => name === dequantizeWeights.name);
    const form = isAsked ? ' in forms that `dequantizeSource` does not read' : '';
    fail(
      'already-quantized',
      source.path,
      `The model is quantized already${form} (${quantized.length} projections, the first is ${quantized[0]?.at})`,
    );
  }
  const overridable = source.left.filter(({ code }) => code === 'weight-overridable');
  if (overridable.length > 0) {
    fail(
      'weight-overridable',
      source.path,
      `${overridable.length} weights are also graph inputs, which callers may replace (the first belongs to ${overridable[0]?.at})`,
    );
  }
  const first = source.left.find((refusal) => refusal.role === undefined || FFN_ROLES.has(refusal.role));
  const why =
    first === undefined
      ? ''
      : `; ${source.left.length} products were refused, the first (${first.at}) because ${first.reason}`;
  fail('no-ffn', source.path, `No gated feed-forward block can be quantized${why}`);
}

/** With --strict, anything in scope that was left in float is an error. */
export function requireComplete(source: Source, recipe: Recipe): void {
  const harmless: ReadonlySet<RefusalCode> = new Set([
    'out-of-scope',
    'lm-head',
    'tied-head',
    'excluded',
    'no-gated-ffn',
  ]);
  // Products of other forms are in scope where a gated block is made of them.
  const skipped = source.left.filter(
    ({ code, role }) =>
      !harmless.has(code) && !(code === 'product-form' && role === undefined) && inScope(role, recipe),
  );
  const first = skipped[0];
  if (first !== undefined)
    fail(
      'strict-skipped',
      first.at,
      `${skipped.length} projections in scope stay in float, the first because ${first.reason}`,
    );
}

const inScope = (role: Role | undefined, recipe: Recipe): boolean =>
  role === undefined || FFN_ROLES.has(role) || (recipe.scope === 'ffn+attention' && role !== 'head');

/** The floor of a projection that is taken, or the code of the reason it is not. */
function judge(projection: Projection, recipe: Recipe): Omit<Chosen, 'projection'> | RefusalCode {
  if (projection.role === 'head') return 'lm-head';
  if (!inScope(projection.role, recipe)) return 'out-of-scope';
  const override = recipe.overrides.findLast(({ match }) => new RegExp(match).test(projection.id));
  if (override?.exclude) return 'excluded';
  if (override?.minBits !== undefined) return { floor: override.minBits };
  if (FFN_ROLES.has(projection.role)) return { floor: 2 };
  const { attentionBits } = recipe;
  if (typeof attentionBits === 'number') return { floor: attentionBits as Bits };
  const chain = attentionChain(recipe) ?? [];
  return { floor: chain[0] ?? 2, chain };
}

function refuse(projection: Projection, code: RefusalCode, reason: string = REFUSALS[code].summary): Refusal {
  const { id, role, layer, k, n } = projection;
  return { at: id, code, reason, role, layer, k, n };
}
