/** Requests to the hub: the token, retries, and one sentence for every way in which the hub refuses. */
import { setTimeout as sleep } from 'node:timers/promises';
import { fail } from '../diagnostics.js';
import type { HubEnvironment } from './environment.js';

/** A repository at a revision, as the user named it. */
export interface Repository {
  readonly type: 'model' | 'dataset';
  /** `ORG/NAME` */
  readonly name: string;
  /** Branch, tag, `refs/pr/N` or commit. */
  readonly revision: string;
}

/** Requests that fail without an answer, or with one of an overloaded server, are repeated so often. */
export const ATTEMPTS = 5;
const FIRST_PAUSE_MS = 100;

/** Waits before attempt `attempt` + 1: 0.1 s, 0.4 s, 1.6 s, 6.4 s. */
export const pause = (attempt: number, signal: AbortSignal): Promise<void> =>
  sleep(FIRST_PAUSE_MS * 4 ** attempt, undefined, { signal });

/**
 * A `fetch` for the hub's client and for downloads. The token goes to the hub only, not where it redirects to. Fails with
 * `hub-not-found`, `hub-access` or `hub-network`; other answers are successes.
 */
export function hubFetch(hub: HubEnvironment, repository: Repository, signal: AbortSignal): typeof fetch {
  const request = async (input: string | URL | Request, init: RequestInit = {}): Promise<Response> => {
    const url = input instanceof Request ? input.url : String(input);
    const headers = new Headers(init.headers);
    if (hub.token !== undefined && new URL(url).origin === new URL(hub.endpoint).origin)
      headers.set('authorization', `Bearer ${hub.token}`);
    const response = await answerOf(url, { ...init, headers, signal }, repository, hub);
    // 416: the rest of a file that is complete already was asked for.
    if (response.ok || response.status === 416) return response;
    await response.body?.cancel();
    return refused(response, repository, hub);
  };
  return request as typeof fetch;
}

async function answerOf(
  url: string,
  init: RequestInit & { readonly signal: AbortSignal },
  { name }: Repository,
  { endpoint }: HubEnvironment,
): Promise<Response> {
  for (let attempt = 0; ; attempt++) {
    const isLast = attempt + 1 >= ATTEMPTS;
    try {
      const response = await fetch(url, init);
      if (isLast || (response.status < 500 && response.status !== 429)) return response;
      await response.body?.cancel();
    } catch (error) {
      init.signal.throwIfAborted();
      if (isLast) return fail('hub-network', name, `${endpoint} cannot be reached (${reasonOf(error)})`);
    }
    await pause(attempt, init.signal);
  }
}

/** What a failed request of Node says at its end: `ECONNREFUSED` and the like. */
export function reasonOf(error: unknown): string {
  const { cause = error } = error as { readonly cause?: unknown };
  const { code, message } = cause as { readonly code?: string; readonly message?: string };
  return (code ?? message ?? String(error)).split('\n', 1)[0] as string;
}

type Place = Pick<HubEnvironment, 'endpoint'>;

const pageOf = ({ endpoint }: Place, { type, name }: Pick<Repository, 'type' | 'name'>): string =>
  `${endpoint}/${type === 'dataset' ? 'datasets/' : ''}${name}`;

/** Where the contents of a file of a repository are. */
export const fileUrl = (hub: Place, repository: Repository, revision: string, path: string): string =>
  `${pageOf(hub, repository)}/resolve/${revision}/${path.split('/').map(encodeURIComponent).join('/')}`;

function refused(response: Response, { type, name, revision }: Repository, { endpoint, token }: HubEnvironment): never {
  const { status, headers } = response;
  const reason = headers.get('x-error-code');
  const page = pageOf({ endpoint }, { type, name });
  if (reason === 'RevisionNotFound') fail('hub-not-found', name, `The repository has no revision ${revision}`);
  if (reason === 'EntryNotFound')
    fail('hub-not-found', name, `The repository has no file ${decodeURIComponent(new URL(response.url).pathname)}`);
  if (reason === 'GatedRepo') {
    const how = token === undefined ? 'log in, accept them and' : 'accept them with the account of the token, or';
    fail(
      'hub-access',
      name,
      `The repository is gated by terms on ${page}: ${how} set HF_TOKEN to a token that may read it`,
    );
  }
  // The hub tells nobody without a token whether a private repository exists.
  if (reason === 'RepoNotFound' || status === 404 || (status === 401 && token === undefined))
    fail('hub-not-found', name, `The hub at ${endpoint} has no such ${type}, or it is private`);
  if (status === 401 || status === 403)
    fail('hub-access', name, `The hub refuses the token of HF_TOKEN for ${page} (${status})`);
  return fail('hub-network', name, `The hub at ${endpoint} answers with the status ${status}`);
}
