/** Matching that explains itself: a success carries what was bound, a failure says why and where. */
import { graphsOf, type Node } from '../ir/graph.js';
import type { Rewriter } from './rewriter.js';

export type Match<B> =
  | { readonly ok: true; readonly bound: B }
  | { readonly ok: false; readonly reason: string; readonly at: string };

export const matched = <B>(bound: B): Match<B> => ({ ok: true, bound });
export const failed = (at: string, reason: string): Match<never> => ({ ok: false, reason, at });

/** One local rewriting rule: looks at nodes with one of these operators, `op` or `domain::op`. */
export interface Rule<B> {
  readonly ops: readonly string[];
  match(node: Node): Match<B>;
  apply(rw: Rewriter, bound: B): void;
}

/** A node that a rule looked at and left. */
export interface Miss {
  readonly at: string;
  readonly reason: string;
}

/**
 * Applies a rule to every node of the model, outer graphs first, each node once, in the order at the start.
 * Returns the misses; what was done is in the rewriter's changes.
 */
export function applyRule<B>(rw: Rewriter, rule: Rule<B>): readonly Miss[] {
  const misses: Miss[] = [];
  for (const graph of [...graphsOf(rw.model.graph)]) {
    for (const node of [...graph.nodes]) {
      const key = node.domain === '' ? node.op : `${node.domain}::${node.op}`;
      if (!rule.ops.includes(key)) continue;
      const match = rule.match(node);
      if (match.ok) rule.apply(rw, match.bound);
      else misses.push({ at: match.at, reason: match.reason });
    }
  }
  return misses;
}
