/** Where a plan is on an object store: `s3://BUCKET/PREFIX`. */
import { fail } from '../../../diagnostics.js';

/** A place on an object store. */
export interface StoreAddress {
  readonly bucket: string;
  /** What names of objects begin with, without a slash at its end; empty where the bucket is the plan. */
  readonly prefix: string;
  /** The address, without a slash at its end. */
  readonly shown: string;
}

/** Names of buckets are letters, digits, dots and hyphens; some stores take underscores too. */
const ADDRESS = /^s3:\/\/([A-Za-z0-9][\w.-]{2,254})(?:\/(.*))?$/s;
/** Bytes of a prefix: names of objects have at most 1,024. */
const LONGEST = 700;

/** Reads an address. Error code `bad-usage` at the option `at` for what is none. */
export function storeAddress(address: string, at: string): StoreAddress {
  const [, bucket, path = ''] = ADDRESS.exec(address.replace(/^s3:/i, 's3:')) ?? [];
  const prefix = path.replace(/\/+$/, '');
  const isPlain = !/\p{Cc}/u.test(prefix) && prefix.split('/').every((part) => part !== '.' && part !== '..');
  if (bucket === undefined || !isPlain || Buffer.byteLength(prefix) > LONGEST)
    return fail(
      'bad-usage',
      at,
      `An object store is named s3://BUCKET/PREFIX, with a bucket of 3 characters at least, and ${JSON.stringify(address)} is not`,
    );
  return { bucket, prefix, shown: prefix === '' ? `s3://${bucket}` : `s3://${bucket}/${prefix}` };
}
