/** Models of an IR version that the runtime at hand does not know. */
import { readFileSync } from 'node:fs';

/** The highest IR version that a runtime takes, from its refusal of a higher one; undefined for any other error. */
export function highestIr(error: unknown): number | undefined {
  const text = error instanceof Error ? error.message : String(error);
  const found = /IR version:?\s*\d+.*max supported IR version:?\s*(\d+)/is.exec(text);
  return found === null ? undefined : Number(found[1]);
}

/**
 * An encoded model that says `version` (below 128). A field of a message that occurs twice has its last value, so two bytes at
 * the end suffice: field 1, a varint.
 */
export function withIr(model: string | Uint8Array, version: number): Uint8Array {
  const bytes = typeof model === 'string' ? readFileSync(model) : model;
  const patched = new Uint8Array(bytes.length + 2);
  patched.set(bytes);
  patched.set([0x08, version], bytes.length);
  return patched;
}
