import { NestedError } from './errors.js';

/** SHA-256 by the browser's own Web Crypto. Fails with `digest` on a page that was not loaded over HTTPS or from localhost. */
export async function sha256(bytes: Uint8Array): Promise<string> {
  const { subtle } = crypto as { subtle?: typeof crypto.subtle };
  if (subtle === undefined)
    throw new NestedError(
      'digest',
      'Digests can be checked only on pages that are loaded over HTTPS or from localhost',
    );
  const digest = await subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>);
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
