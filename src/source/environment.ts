/** Settings of the Hugging Face hub, from the variables that its own tools read. This is the only place that reads them. */
import { join } from 'node:path';
import { userCache } from '../files/user-cache.js';

/** Settings of the hub: addresses, folders, token, and whether it may be contacted. */
export interface HubEnvironment {
  /** Address of the hub, without a slash at its end. */
  readonly endpoint: string;
  /** Folder of downloads in the layout of the hub's tools: `models--ORG--NAME/{blobs,refs,snapshots}`. */
  readonly cache: string;
  /** Folder of calibration text that was read from data sets. */
  readonly texts: string;
  /** Access token, for private and gated repositories. */
  readonly token?: string;
  /** Read the cache only. */
  readonly offline: boolean;
}

/** Environment variables by name, as in `process.env`. */
export type Variables = Readonly<Record<string, string | undefined>>;

/** `HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`, `HF_TOKEN` and `HF_HUB_OFFLINE`; an empty variable counts as absent. */
export function hubEnvironment(variables: Variables = process.env): HubEnvironment {
  const given = (name: string): string | undefined => variables[name] || undefined;
  const home = given('HF_HOME') ?? join(userCache(variables), 'huggingface');
  const token = given('HF_TOKEN');
  return {
    endpoint: (given('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, ''),
    cache: given('HF_HUB_CACHE') ?? given('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub'),
    texts: join(home, 'matquant'),
    ...(token !== undefined && { token: token.trim() }),
    offline: /^(1|true|yes|on)$/i.test(given('HF_HUB_OFFLINE') ?? ''),
  };
}
