/** Files as objects. Large ones travel in parts, and a download that breaks off goes on where it stopped. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { fail } from '../../../diagnostics.js';
import { stagedFilesAsync } from '../../../files/staging.js';
import { readExactly, writeFully } from '../../../files/transfer.js';
import type { Client } from './client.js';
import { isPassing, statusOf } from './errors.js';
import type { Requests } from './requests.js';

/** How large objects are cut. */
export interface FileParts {
  /** Bytes of a part; larger where there would be more than 10,000. */
  readonly bytes: number;
}

export const PARTS: FileParts = { bytes: 16 << 20 };
/** Most parts of an object. */
const MOST = 10_000;

/** Where an object is, and how it is reached. */
interface Transfer {
  readonly client: Client;
  readonly requests: Requests;
  readonly Bucket: string;
  readonly Key: string;
}

/**
 * Writes a file as an object, whose parts appear together. Fails with `input-changed`, and leaves no object, where the contents do not have
 * the digest.
 */
export async function uploadFile(
  transfer: Transfer & { readonly parts: FileParts },
  path: string,
  sha256: string,
): Promise<void> {
  const descriptor = openSync(path, 'r');
  try {
    const { size } = fstatSync(descriptor);
    const step = Math.max(transfer.parts.bytes, Math.ceil(size / MOST));
    const hash = createHash('sha256');
    const read = (start: number): Uint8Array => {
      const bytes = readExactly(descriptor, start, Math.min(start + step, size), path);
      hash.update(bytes);
      return bytes;
    };
    const check = (): void => {
      if (hash.digest('hex') !== sha256)
        fail('input-changed', path, 'The file was changed while it was being uploaded');
    };
    if (size <= step) await putWhole(transfer, read(0), check);
    else await putParts(transfer, { size, step, read, check });
  } finally {
    closeSync(descriptor);
  }
}

async function putWhole(
  { client, requests, Bucket, Key }: Transfer,
  Body: Uint8Array,
  check: () => void,
): Promise<void> {
  check();
  await requests.run(() => client.s3.send(new client.sdk.PutObjectCommand({ Bucket, Key, Body })));
}

/** An answer where the store no longer knows an upload. */
const FORGOTTEN: unique symbol = Symbol('forgotten');

interface Pieces {
  readonly size: number;
  readonly step: number;
  readonly read: (start: number) => Uint8Array;
  readonly check: () => void;
}

async function putParts(
  { client, requests, Bucket, Key }: Transfer,
  { size, step, read, check }: Pieces,
): Promise<void> {
  const { sdk, s3 } = client;
  const at = { Bucket, Key };
  const { UploadId } = await requests.run(() => s3.send(new sdk.CreateMultipartUploadCommand(at)));
  try {
    const Parts: { readonly ETag: string | undefined; readonly PartNumber: number }[] = [];
    for (let start = 0; start < size; start += step) {
      const PartNumber = Parts.length + 1;
      const part = { ...at, UploadId, PartNumber, Body: read(start) };
      const { ETag } = await requests.run(() => s3.send(new sdk.UploadPartCommand(part)));
      Parts.push({ ETag, PartNumber });
    }
    check();
    const whole = { ...at, UploadId, MultipartUpload: { Parts } };
    const completed = await requests.run<unknown>(
      () => s3.send(new sdk.CompleteMultipartUploadCommand(whole)),
      // The answer of an earlier try was lost.
      (error) => (statusOf(error) === 404 ? FORGOTTEN : undefined),
    );
    if (completed !== FORGOTTEN) return;
    const { ContentLength } = await requests.run(() => s3.send(new sdk.HeadObjectCommand(at)));
    if (ContentLength !== size) fail('store', Key, 'The parts of the file did not become an object');
  } catch (error) {
    // Parts cost money until the upload is given up.
    await s3.send(new sdk.AbortMultipartUploadCommand({ ...at, UploadId })).catch(() => undefined);
    throw error;
  }
}

/** Tries of a download that make no progress before it is given up. */
const STANDSTILLS = 5;

/**
 * Writes an object as a file, which appears whole. False where there is no object, or where its contents have another digest; then a file
 * that was there stays.
 */
export async function downloadFile(transfer: Transfer, path: string, sha256: string): Promise<boolean> {
  const damaged = new Error('damaged');
  try {
    await stagedFilesAsync([path], async ([temporary]) => {
      const descriptor = openSync(temporary as string, 'w');
      try {
        if ((await new Download(transfer, descriptor).run()) !== sha256) throw damaged;
      } finally {
        closeSync(descriptor);
      }
    });
    return true;
  } catch (error) {
    if (error === damaged) return false;
    throw error;
  }
}

/** No object, or none of that length any more. */
const GONE: ReadonlySet<number> = new Set([404, 416]);

/** The contents of an object on their way to an open file. */
class Download {
  readonly #transfer: Transfer;
  readonly #descriptor: number;
  readonly #hash: Hash = createHash('sha256');
  #at = 0;

  constructor(transfer: Transfer, descriptor: number) {
    this.#transfer = transfer;
    this.#descriptor = descriptor;
  }

  /** The digest of the contents, or undefined where there is no object. */
  async run(): Promise<string | undefined> {
    for (let standstills = 0; ; ) {
      const before = this.#at;
      const body = await this.#open();
      if (body === undefined && before === 0) return undefined;
      const broken = body === undefined ? undefined : await this.#take(body);
      if (broken === undefined) return this.#hash.digest('hex');
      standstills = this.#at > before ? 0 : standstills + 1;
      if (!isPassing(broken) || standstills > STANDSTILLS) throw this.#transfer.requests.explained(broken);
    }
  }

  /** What is left of the object. */
  async #open(): Promise<AsyncIterable<Uint8Array> | undefined> {
    const { client, requests, Bucket, Key } = this.#transfer;
    const request = { Bucket, Key, ...(this.#at > 0 && { Range: `bytes=${this.#at}-` }) };
    const answer = await requests.run<{ readonly body: unknown }>(
      async () => ({ body: (await client.s3.send(new client.sdk.GetObjectCommand(request))).Body }),
      (error) => (GONE.has(statusOf(error) ?? 0) ? { body: undefined } : undefined),
    );
    return answer.body as AsyncIterable<Uint8Array> | undefined;
  }

  /** Writes what comes; the error of a connection that broke, or undefined at the end. */
  async #take(body: AsyncIterable<Uint8Array>): Promise<unknown> {
    for (const pieces = body[Symbol.asyncIterator](); ; ) {
      const next = await pieces.next().catch((error: unknown) => ({ error }));
      if ('error' in next) return next.error;
      if (next.done) return undefined;
      writeFully(this.#descriptor, next.value);
      this.#hash.update(next.value);
      this.#at += next.value.length;
    }
  }
}
