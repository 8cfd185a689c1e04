/** The head of a model card: YAML between two lines of `---` at the start of README.md. Two of its fields are of interest. */
import { readFileSync } from 'node:fs';

export interface CardFacts {
  readonly licence?: string;
  readonly baseModel?: string;
}

/** Licence and base model; nothing where there is no card, no head or no such field. */
export function readCard(path: string | undefined): CardFacts {
  if (path === undefined) return {};
  const [, head = ''] = /^\uFEFF?---\r?\n([\s\S]*?)\r?\n---/.exec(readFileSync(path, 'utf8')) ?? [];
  const stated = fieldOf(head, 'license');
  // `other` says that `license_name` has the name.
  const licence = stated === 'other' ? (fieldOf(head, 'license_name') ?? stated) : stated;
  const baseModel = fieldOf(head, 'base_model');
  return { ...(licence !== undefined && { licence }), ...(baseModel !== undefined && { baseModel }) };
}

/** A plain value, or the first of a list in either of YAML's two forms. */
function fieldOf(head: string, field: string): string | undefined {
  const [, inline = '', list] =
    new RegExp(`^${field}:[ \\t]*([^\\r\\n]*)(?:\\r?\\n[ \\t]*-[ \\t]+([^\\r\\n]+))?`, 'm').exec(head) ?? [];
  const first = inline.trim() === '' ? (list ?? '') : inline;
  const value = first.replace(/^\[/, '').split(/[,\]]|\s#/)[0] ?? '';
  const plain = value.trim().replaceAll(/^["']|["']$/g, '');
  return plain === '' || plain === 'null' ? undefined : plain;
}
