/** Where a queue is: the URL of a Redis or PostgreSQL server. */
import { fail } from '../../diagnostics.js';

/** A server that keeps a queue. */
export interface QueueAddress {
  readonly server: 'redis' | 'postgres';
  readonly url: string;
  /** The URL without user and password, for messages. */
  readonly shown: string;
}

const SERVERS: ReadonlyMap<string, QueueAddress['server']> = new Map([
  ['redis:', 'redis'],
  ['rediss:', 'redis'],
  ['postgres:', 'postgres'],
  ['postgresql:', 'postgres'],
]);

/** Reads a URL; error code `bad-usage` for what is none of these servers'. What it says holds no password. */
export function addressOf(url: string): QueueAddress {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const server = SERVERS.get(parsed?.protocol ?? '');
  if (parsed === undefined || server === undefined)
    return fail('bad-usage', 'queue', '`queue` takes redis://HOST:PORT/DATABASE or postgres://USER@HOST:PORT/DATABASE');
  return { server, url, shown: `${parsed.protocol}//${parsed.host}${parsed.pathname}` };
}
