/** A pass is a described value: everything the command line, the runner, the tests and the docs say about it is declared here. */
import { z } from 'zod';
import type { Rewriter } from './rewriter.js';

/**
 * What a pass promises about the numbers. `bits`: outputs are equal to the byte. `values`: equal within a tolerance its test
 * states. `interface`: only names, types and shapes stay (quantization); the report judges the rest.
 */
export type Keeps = 'bits' | 'values' | 'interface';

/** `O` are options as users write them, `M` is material that only code can give: codes, layouts, choices. */
export interface Pass<O, M = undefined> {
  /** Kebab case, the name of its file. */
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  /** A strict object schema with a sentence for each field. */
  readonly options: z.ZodType<O>;
  readonly keeps: Keeps;
  /** What code must hand in beside options, in words; absent when options are enough. */
  readonly material?: string;
  /** Synchronous and pure to the outside: no disk, no session, no clock. */
  run(rw: Rewriter, options: O, material: M): void;
}

/** The part of a pass that can be listed and explained, whatever its options and material. */
export type PassDescription = Omit<Pass<unknown, unknown>, 'options' | 'run'> & { readonly options: z.ZodType };

/** Options of a pass that has none. */
export type NoOptions = Readonly<Record<string, never>>;
export const noOptions: z.ZodType<NoOptions> = z.strictObject({});

/** Declares a pass; a name that is not kebab case or a summary that is not one sentence is a mistake of the author. */
export function definePass<O, M = undefined>(pass: Pass<O, M>): Pass<O, M> {
  if (!/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(pass.name))
    throw new Error(`the name of a pass is kebab case: ${pass.name}`);
  if (!/^[A-Z][^\n]*\.$/.test(pass.summary)) throw new Error(`the summary of ${pass.name} is not a sentence`);
  return pass;
}

/** One option as a page shows it. */
export interface OptionPage {
  readonly name: string;
  readonly describe: string;
  readonly default?: unknown;
}

/** The options of a pass, read off its schema. */
export function optionsOf(pass: Pick<PassDescription, 'options'>): readonly OptionPage[] {
  const { properties = {} } = z.toJSONSchema(pass.options, { io: 'input' });
  return Object.entries(properties).map(([name, schema]) => {
    const { description = '', default: value } = typeof schema === 'object' ? schema : {};
    return { name, describe: description, ...(value === undefined ? {} : { default: value }) };
  });
}

/** What each promise means, as pages show it. */
export const KEEPS: Readonly<Record<Keeps, string>> = {
  bits: 'outputs stay equal to the byte',
  values: 'outputs stay equal within the tolerance of its test',
  interface: 'inputs and outputs keep names, types and shapes; values change',
};
