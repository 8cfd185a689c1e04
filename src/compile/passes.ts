/** The passes as the command line shows them, generated from their declarations. */
import { PASSES } from '../../passes/index.js';
import { fail } from '../diagnostics.js';
import { optionsOf } from '../onnx/rewrite/define-pass.js';
import type { Fact } from '../onnx/rewrite/facts.js';

export interface PassSummary {
  readonly name: string;
  readonly summary: string;
}

export interface PassPage extends PassSummary {
  readonly keeps: string;
  readonly needs: readonly string[];
  readonly gives: readonly string[];
  readonly options: readonly { readonly name: string; readonly describe: string; readonly default?: unknown }[];
}

/** Every pass, in the order of the list. */
export function listPasses(): readonly PassSummary[] {
  return PASSES.map(({ name, summary }) => ({ name, summary }));
}

/** The page of one pass. */
export function explainPass(name: string): PassPage {
  const pass = PASSES.find((each) => each.name === name);
  if (pass === undefined) {
    return fail(
      'bad-usage',
      name,
      `There is no pass ${name}; the passes are ${PASSES.map((each) => each.name).join(', ')}`,
    );
  }
  const names = (facts: readonly Fact[]): readonly string[] => facts.map((fact) => fact.name);
  const { summary, keeps, needs, gives } = pass;
  return { name, summary, keeps, needs: names(needs), gives: names(gives), options: optionsOf(pass) };
}
