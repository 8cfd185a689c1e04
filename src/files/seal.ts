/** JSON files that hold the SHA-256 of themselves, as the last field: of the text as it is, with zeros in the place of the digest. */
import { createHash } from 'node:crypto';

const BLANK = '0'.repeat(64);
const LAST_FIELD = /"sha256": ?"([0-9a-f]{64})"\s*\}\s*$/;

/** The text of `value` with its digest as the field `sha256`, on one line or with `indent` spaces, and a line break behind it. */
export function sealedJson(value: object, indent?: number): string {
  const text = `${JSON.stringify({ ...value, sha256: BLANK }, undefined, indent)}\n`;
  const at = text.lastIndexOf(BLANK);
  return text.slice(0, at) + digestOf(text) + text.slice(at + BLANK.length);
}

/** True when the text has a digest as its last field and it holds. A changed byte anywhere breaks it. */
export function isSealed(text: string): boolean {
  const found = LAST_FIELD.exec(text.slice(-200));
  const digest = found?.[1];
  if (digest === undefined) return false;
  const at = text.lastIndexOf(digest);
  return digestOf(text.slice(0, at) + BLANK + text.slice(at + BLANK.length)) === digest;
}

/** True when the text has a digest and it does not hold. Files that carry none, such as older ones, are not damaged. */
export const isDamaged = (text: string): boolean => LAST_FIELD.test(text.slice(-200)) && !isSealed(text);

const digestOf = (text: string): string => createHash('sha256').update(text).digest('hex');
