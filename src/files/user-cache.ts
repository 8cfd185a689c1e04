/** Where programs of a user keep what can be made again. */
import { homedir } from 'node:os';
import { join } from 'node:path';

/** `XDG_CACHE_HOME`, or `.cache` in the home folder; an empty variable counts as absent. */
export const userCache = (variables: Readonly<Record<string, string | undefined>> = process.env): string =>
  variables['XDG_CACHE_HOME'] || join(homedir(), '.cache');
