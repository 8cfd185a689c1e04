/** The text of a claim: one line of JSON, in which the beat has a fixed place and is overwritten. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** What a claim says. */
export interface ClaimFacts {
  readonly owner: string;
  /** Machine and process. */
  readonly worker: string;
  readonly threads: number;
  /** True where its owner has given it up, and the store keeps its text. */
  readonly released?: boolean | undefined;
}

const BEFORE = '{"beat":"';
const DIGITS = 10;

/** Where the digits of the beat are. */
export const BEAT_OFFSET: number = BEFORE.length;

/** The digits of a beat. */
export const beatText = (beat: number): string => String(beat).padStart(DIGITS, '0');

/** A claim; a new one where no beat is given. */
export const claimText = (facts: ClaimFacts, beat: number = 0): string =>
  `${BEFORE}${beatText(beat)}",${JSON.stringify(facts).slice(1)}\n`;

/** The text of a file, or undefined where there is none. */
export function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

const schema = z.object({
  beat: z.string(),
  owner: z.string(),
  worker: z.string(),
  threads: z.number(),
  released: z.boolean().optional(),
});

/** What a claim says; undefined while it is being written, and where it is damaged. */
export function factsOf(text: string): (ClaimFacts & { readonly beat: string }) | undefined {
  try {
    return schema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
