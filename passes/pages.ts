/** The passes as the command line shows them, generated from their declarations. */

import { fail } from '../src/diagnostics.js';
import { KEEPS, type Keeps, optionsOf } from '../src/onnx/rewrite/define-pass.js';
import { PASSES } from './index.js';

export interface PassSummary {
  readonly name: string;
  readonly summary: string;
}

export interface PassPage extends PassSummary {
  readonly keeps: Keeps;
  /** The same in words. */
  readonly promise: string;
  /** What code hands in beside options. */
  readonly material?: string;
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
  const { summary, keeps, material } = pass;
  const promise = KEEPS[keeps];
  return { name, summary, keeps, promise, ...(material !== undefined && { material }), options: optionsOf(pass) };
}
