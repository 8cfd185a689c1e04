/** The kinds of things that are mutated, and what is done with each. */

import type { Random } from '../../src/random.js';
import type { Files } from './bases.js';
import { compilations } from './kind-compilations.js';
import { models, recipes, text, tokenizers } from './kind-inputs.js';
import { manifests, statistics } from './kind-sets.js';
import type { Library } from './target.js';

export type { Files } from './bases.js';

/** A case: the files that differ from their base. */
export interface Mutated {
  readonly base: string;
  readonly note: string;
  readonly files: Files;
}

/** How a case ended when nothing was thrown. */
export interface Ended {
  /** Why the result is not what it should be. */
  readonly wrong?: string;
  /** Divergence of the logits of int8 from those of the source, in nats, and the most that int8 explains. */
  readonly kl?: number;
  readonly limit?: number;
}

/** A kind, ready in one process. */
export interface Prepared {
  /** Folders of files by name of the base; a case gets a copy of one. */
  readonly bases: Readonly<Record<string, Files>>;
  mutate(random: Random): Mutated;
  /** Runs the case in `folder`. What it writes goes into `output`, which is new and empty. Refusals are thrown. */
  run(folder: string, output: string): Promise<Ended>;
}

/** Makes a kind ready: `scratch` is a folder of its own. */
export type Kind = (library: Library, scratch: string) => Promise<Prepared>;

export const KINDS: Readonly<Record<string, Kind>> = {
  models,
  compilations,
  manifests,
  recipes,
  statistics,
  tokenizers,
  text,
};
