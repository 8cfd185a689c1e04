/** The passes as the command line shows them, generated from their declarations. */
import { fail } from '../diagnostics.js';

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

export function listPasses(): readonly PassSummary[] {
  return [];
}

export function explainPass(name: string): PassPage {
  return fail('bad-usage', name, 'explain is not available yet');
}
