/**
 * Objects of a plan: texts with conditions, and files by the digest of their contents. An object appears whole or not at all; what is
 * downloaded is checked.
 */
import type { StoreAddress } from './address.js';
import { type Client, openClient } from './client.js';
import { statusOf } from './errors.js';
import { downloadFile, type FileParts, PARTS, uploadFile } from './files.js';
import { Requests } from './requests.js';

/** An object in a list. */
export interface ListedObject {
  /** Below the prefix of the plan. */
  readonly key: string;
  readonly etag: string;
  readonly bytes: number;
}

/** A text with the tag of its contents, which conditions name. */
export interface StoredText {
  readonly text: string;
  readonly etag: string;
}

/** When a text is written: where there is none, or where the one with this tag is. */
export type Condition = { readonly absent: true } | { readonly etag: string };

/** An answer where a condition does not hold. */
const REFUSED: unique symbol = Symbol('refused');
/** An answer where there is no object. */
const NONE: unique symbol = Symbol('none');

export class S3Objects {
  readonly address: StoreAddress;
  readonly #client: Client;
  readonly #requests: Requests;
  readonly #parts: FileParts;

  constructor(address: StoreAddress, client: Client, parts: FileParts = PARTS) {
    this.address = address;
    this.#client = client;
    this.#requests = new Requests(address);
    this.#parts = parts;
  }

  /** Error code `store-package` where the client is not installed. Asks the store nothing. */
  static async open(address: StoreAddress): Promise<S3Objects> {
    return new S3Objects(address, await openClient());
  }

  /** The text of an object; undefined where there is none. */
  async text(key: string): Promise<StoredText | undefined> {
    const { sdk, s3 } = this.#client;
    const found = await this.#requests.run<StoredText | typeof NONE>(async () => {
      const { Body, ETag = '' } = await s3.send(new sdk.GetObjectCommand(this.#at(key)));
      return { text: (await Body?.transformToString()) ?? '', etag: ETag };
    }, isMissing);
    return found === NONE ? undefined : found;
  }

  /** Writes a text; its tag, or undefined where the condition does not hold. */
  async put(key: string, text: string, condition?: Condition): Promise<string | undefined> {
    const { sdk, s3 } = this.#client;
    const when =
      condition === undefined ? {} : 'absent' in condition ? { IfNoneMatch: '*' } : { IfMatch: condition.etag };
    const request = { ...this.#at(key), Body: Buffer.from(text), ContentType: 'application/json', ...when };
    const tag = await this.#requests.run<string | typeof REFUSED>(
      async () => (await s3.send(new sdk.PutObjectCommand(request))).ETag ?? '',
      (error) =>
        condition !== undefined && REFUSALS.has(statusOf(error) ?? 0) && !isBucket(error) ? REFUSED : undefined,
    );
    return tag === REFUSED ? undefined : tag;
  }

  /** All objects whose keys begin so. */
  async list(prefix: string): Promise<readonly ListedObject[]> {
    const { sdk, s3 } = this.#client;
    const { Bucket, Key } = this.#at(prefix);
    const listed: ListedObject[] = [];
    for (let token: string | undefined; ; ) {
      const request = { Bucket, Prefix: Key, ...(token !== undefined && { ContinuationToken: token }) };
      const page = await this.#requests.run(() => s3.send(new sdk.ListObjectsV2Command(request)));
      for (const { Key: name = '', ETag = '', Size = 0 } of page.Contents ?? [])
        listed.push({ key: name.slice(Key.length - prefix.length), etag: ETag, bytes: Size });
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
      if (token === undefined) return listed;
    }
  }

  /** Removes objects, where they are there. */
  async remove(keys: readonly string[]): Promise<void> {
    const { sdk, s3 } = this.#client;
    for (const key of keys)
      await this.#requests.run<unknown>(() => s3.send(new sdk.DeleteObjectCommand(this.#at(key))), isMissing);
  }

  /** Writes a file as an object, in parts where it is large. Error code `input-changed` where its digest is another. */
  upload(path: string, key: string, sha256: string): Promise<void> {
    return uploadFile(
      { client: this.#client, requests: this.#requests, parts: this.#parts, ...this.#at(key) },
      path,
      sha256,
    );
  }

  /** Writes an object as a file. False where there is no object, or one with another digest; then no file is left. */
  download(key: string, path: string, sha256: string): Promise<boolean> {
    return downloadFile({ client: this.#client, requests: this.#requests, ...this.#at(key) }, path, sha256);
  }

  close(): void {
    this.#client.s3.destroy();
  }

  #at(key: string): { readonly Bucket: string; readonly Key: string } {
    const { bucket, prefix } = this.address;
    return { Bucket: bucket, Key: prefix === '' ? key : `${prefix}/${key}` };
  }
}

/** Answers where a condition does not hold: 409 where another writer was at it, and 404 where there is nothing to replace. */
const REFUSALS: ReadonlySet<number> = new Set([404, 409, 412]);

const isBucket = (error: unknown): boolean => (error as { readonly name?: string }).name === 'NoSuchBucket';

/** Whether there is no such object; a bucket that is not there is an error. */
export const isMissing = (error: unknown): typeof NONE | undefined =>
  statusOf(error) === 404 && !isBucket(error) ? NONE : undefined;
