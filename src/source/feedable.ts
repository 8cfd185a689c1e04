/** Whether the inputs of a model can be fed, told before any work is done. */
import { graphRoles, portOf } from '../capture/index.js';
import { fail } from '../diagnostics.js';
import type { Model } from '../onnx/ir/graph.js';
import { readHints } from '../runtime/hints.js';
import { hasTokens, logitsPort, UNDERSTOOD } from '../runtime/input-roles.js';
import type { Source } from './source.js';

/** An input of the model and what it is fed with. */
export interface InspectedInput {
  readonly name: string;
  /** `ids`, `mask`, `cache` …; null when it cannot be fed. */
  readonly role: string | null;
  readonly problem?: string;
  /** Path of the model beside it that makes its vectors; without one they are random. */
  readonly from?: string;
}

/** Every input of the model at `at` that a caller must feed. */
export function inspectInputs(model: Model, at: string): readonly InspectedInput[] {
  const { embedding } = readHints(at);
  return [...graphRoles(model)].map(([name, understood]) => {
    if (understood.role === undefined) return { name, role: null, problem: understood.problem };
    const isMade = understood.role === 'vectors' && embedding !== undefined;
    return { name, role: understood.role, ...(isMade && { from: embedding }) };
  });
}

/** Why the model cannot be run, so that it cannot be compiled either: sentences, none when it can. */
export function feedProblems(model: Model): readonly string[] {
  const roles = graphRoles(model);
  const problems = [...roles.values()].flatMap((understood) =>
    understood.role === undefined ? [understood.problem] : [],
  );
  if (problems.length === 0 && !hasTokens(roles)) problems.push('The model has no input input_ids or inputs_embeds');
  if (logitsPort(model.graph.outputs.map(portOf)) === undefined) problems.push('The model has no output logits');
  return problems;
}

/** Fails with `unsupported-model` when an input cannot be fed, or the logits cannot be found. */
export function requireFeedable({ model, path }: Pick<Source, 'model' | 'path'>): void {
  const [first] = feedProblems(model);
  if (first !== undefined) fail('unsupported-model', path, `${first}. Understood are ${UNDERSTOOD}`);
}

/** Name of the first input that takes vectors of tokens; undefined where none does. */
const vectorsInput = (model: Model): string | undefined =>
  [...graphRoles(model)].find(([, { role }]) => role === 'vectors')?.[0];

/** Path of the model beside a source that makes the vectors it takes; undefined where it takes none, or nothing makes them. */
export function embeddingOf({ model, path }: Pick<Source, 'model' | 'path'>): string | undefined {
  return vectorsInput(model) === undefined ? undefined : readHints(path).embedding;
}

/** True when some input of the model at `at` takes vectors of tokens, which are random: no embedding inside or beside it makes them. */
export function takesVectors(model: Model, at: string): boolean {
  return vectorsInput(model) !== undefined && readHints(at).embedding === undefined;
}

/** Fails with `unsupported-model` when text cannot become what the model at `at` takes. */
export function requireText(model: Model, at: string): void {
  if (!takesVectors(model, at)) return;
  fail(
    'unsupported-model',
    at,
    `The input ${vectorsInput(model)} takes the output of an embedding that is neither part of the model nor beside it as embed_tokens.onnx, so text cannot be fed; compile it with the preset data-free, and score it with \`ids\`, on random vectors`,
  );
}
