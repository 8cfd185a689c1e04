/** Runs passes over one model: after each the verifier runs, and the interface is compared with the one before. */
import { type Diagnostic, fail } from '../../diagnostics.js';
import { schemaIssues } from '../../schema-issues.js';
import { cloneModel } from '../ir/clone.js';
import type { Model, Value } from '../ir/graph.js';
import { printModel } from '../ir/print.js';
import { verify } from '../ir/verify.js';
import type { Pass, PassDescription } from './define-pass.js';
import { type Change, Rewriter } from './rewriter.js';

/** One pass with what it runs on. Made by `step`, which ties the types together. */
export interface PassStep {
  readonly pass: PassDescription;
  readonly run: (rw: Rewriter) => void;
}

/** What one pass did. */
export interface PassReport {
  readonly name: string;
  readonly changes: readonly Change[];
}

/** A pass left the model invalid or broke a promise: a bug in the pass. `before` is the model as the pass found it. */
export class BrokenPassError extends Error {
  override readonly name = 'BrokenPassError';
  readonly diagnostics: readonly Diagnostic[];
  readonly before: string;

  constructor(pass: string, diagnostics: readonly Diagnostic[], before: string) {
    super(`the pass ${pass} broke the model: ${diagnostics.map(({ at, message }) => `${at}: ${message}`).join('; ')}`);
    this.diagnostics = diagnostics;
    this.before = before;
  }
}

/** Prepares a pass. Options are checked against its schema and completed with its defaults. */
export function step<O>(pass: Pass<O>, options?: unknown): PassStep;
export function step<O, M>(pass: Pass<O, M>, options: unknown, material: M): PassStep;
export function step<O, M>(pass: Pass<O, M>, options: unknown = {}, material?: M): PassStep {
  const parsed = pass.options.safeParse(options);
  if (!parsed.success)
    return fail('recipe', pass.name, `The options are not valid: ${schemaIssues(parsed.error, options)}`);
  return { pass, run: (rw) => pass.run(rw, parsed.data, material as M) };
}

/**
 * Runs the steps in order on `model`, in place. `placeholders` are domains of nodes that a later pass replaces, which the model does
 * not import. Throws a BrokenPassError where a pass leaves the model invalid or changes its interface.
 */
export function runPasses(
  model: Model,
  steps: readonly PassStep[],
  placeholders: readonly string[] = [],
): readonly PassReport[] {
  return steps.map(({ pass, run }) => {
    const before = cloneModel(model).model;
    const rw = new Rewriter(model);
    run(rw);
    const broken = [...verify(model, placeholders), ...interfaceChanges(before, model)];
    if (broken.length > 0) throw new BrokenPassError(pass.name, broken, printModel(before, { digests: false }));
    return { name: pass.name, changes: rw.changes };
  });
}

/** Inputs that callers must feed and outputs keep their names, types, shapes and order, whatever a pass does. */
function interfaceChanges(before: Model, after: Model): readonly Diagnostic[] {
  const fed = (model: Model): readonly Value[] =>
    model.graph.inputs.filter(({ initializer }) => initializer === undefined);
  const describe = (values: readonly Value[]): string =>
    values.map(({ name, type }) => `${name}: ${type?.dtype} [${type?.shape?.map((dim) => dim ?? '?')}]`).join(', ');
  const sides: readonly (readonly [string, string, string])[] = [
    ['inputs', describe(fed(before)), describe(fed(after))],
    ['outputs', describe(before.graph.outputs), describe(after.graph.outputs)],
  ];
  return sides
    .filter(([, was, is]) => was !== is)
    .map(([side, was, is]) => ({
      code: 'invalid-graph',
      at: side,
      message: `the ${side} were (${was}) and are (${is})`,
    }));
}
