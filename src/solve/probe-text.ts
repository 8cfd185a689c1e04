/** What the check at the end of a compilation scores: text that nothing was learnt from, where there is any. */
import { fixedShapeOf } from '../analysis/fixed-shape.js';
import type { Source } from '../source/index.js';
import type { SplitText } from '../text/index.js';
import { madeProbe } from './made-windows.js';

/** What the check after a compilation was made on. */
export type Scored = 'held-out text' | 'calibration text' | 'random ids';

export interface ProbeText {
  readonly windows: readonly Int32Array[];
  readonly scored: Scored;
}

/** Windows, and ids in each. */
export const PROBE_WINDOWS = 2;
const TOKENS = 64;
/** With fewer positions a score says less of text than one on random ids. */
const LEAST = 16;

/** How the windows of a text were used. */
export type TextUse =
  /** For nothing. */
  | 'none'
  /** Its first windows, in the statistics. */
  | 'first'
  /** All of it, or an unknown part: distillation goes on behind the first windows. */
  | 'all';

/** The beginning of held windows, of windows that were used where all of them may be, or random ids where no text is left. */
export function probeText(source: Source, { windows, held }: SplitText, use: TextUse, seed: number): ProbeText {
  const length = fixedShapeOf(source.model).length ?? TOKENS;
  const cut = (found: readonly Int32Array[]): readonly Int32Array[] =>
    found.slice(0, PROBE_WINDOWS).map((window) => window.slice(0, length));
  if (use === 'all' && windows.length > 0) return { windows: cut(windows), scored: 'calibration text' };
  const free = cut(use === 'none' ? windows : held);
  const positions = free.reduce((sum, window) => sum + window.length - 1, 0);
  if (positions >= LEAST) return { windows: free, scored: 'held-out text' };
  return { windows: madeProbe(source, seed, TOKENS), scored: 'random ids' };
}
