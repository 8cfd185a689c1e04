/** What a run says. */
import { type Context, silentContext } from '../../src/log.js';

/** A context that keeps what is said. */
export function listening(signal: AbortSignal = new AbortController().signal): Context & { readonly said: string[] } {
  const said: string[] = [];
  const say = (text: string): void => void said.push(text);
  return { ...silentContext(signal), log: { info: say, warn: say }, said };
}
