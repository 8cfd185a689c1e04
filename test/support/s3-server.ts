/**
 * An S3 server from npm (s3rver: signatures, lists, parts of uploads, files on disk). It does not know conditions of writes, which are
 * asked here before it gets a request. Connections break as a test wants.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/**
 * What happens to a request. `refused`: the connection breaks before the server sees it. `unanswered`: the server does what it was asked,
 * and the answer is lost. `cut`: the answer ends after 1,000 bytes. `denied`: the user may not do this.
 * `forgotten`: there is no such upload, as other servers say of one that is complete.
 */
export type Fault = 'refused' | 'unanswered' | 'cut' | 'denied' | 'forgotten';

export interface S3Server {
  readonly endpoint: string;
  /** Variables of a client. */
  readonly environment: Readonly<Record<string, string>>;
  /** Method, path and status of every request that was answered. */
  readonly answered: string[];
  /** Asked of every request. */
  fault: (request: IncomingMessage) => Fault | undefined;
  /** Path of an object's contents on disk. */
  fileOf(bucket: string, key: string): string;
  close(): Promise<void>;
}

/** What is used of s3rver. */
interface S3rver {
  readonly store: { getMetadata(bucket: string, key: string): Promise<{ readonly etag: string }> };
  configureBuckets(): Promise<unknown>;
  callback(): (request: IncomingMessage, response: ServerResponse) => void;
}
type S3rverPackage = new (options: object) => S3rver;

export const KEY = 'S3RVER';

/** Starts a server with buckets. Without `conditions` it ignores those of writes, as servers do that do not know them. */
export async function startS3(folder: string, buckets: readonly string[], conditions = true): Promise<S3Server> {
  const { default: Server } = (await import('s3rver' as string)) as { readonly default: S3rverPackage };
  const server = new Server({
    directory: folder,
    silent: true,
    configureBuckets: buckets.map((name) => ({ name, configs: [] })),
  });
  await server.configureBuckets();
  const handle = server.callback();
  const answered: string[] = [];
  const writes = new Map<string, Promise<void>>();
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { pathname } = new URL(request.url ?? '', 'http://host');
    const fault = made.fault(request);
    if (fault === 'refused') return void request.socket.destroy();
    if (fault === 'unanswered' || fault === 'cut') breakAnswer(request, response, fault);
    response.on('finish', () => answered.push(`${request.method} ${pathname} ${response.statusCode}`));
    const ended = new Promise<void>((resolve) => response.on('close', resolve));
    const before = writes.get(pathname);
    if (request.method === 'PUT') writes.set(pathname, ended);
    await before;
    const refusal = REFUSALS[fault ?? ''] ?? (conditions ? await refusalOf(server, request, pathname) : undefined);
    if (refusal === undefined) return handle(request, response);
    request.resume().on('end', () => {
      const [status, code] = refusal;
      response.writeHead(status, { 'content-type': 'application/xml' });
      response.end(`<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code}</Message></Error>`);
    });
  };
  const front = createServer((request, response) => void serve(request, response));
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
  const endpoint = `http://127.0.0.1:${(front.address() as AddressInfo).port}`;
  const made: S3Server = {
    endpoint,
    environment: {
      AWS_ENDPOINT_URL_S3: endpoint,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: KEY,
      AWS_SECRET_ACCESS_KEY: KEY,
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    answered,
    fault: () => undefined,
    fileOf: (bucket, key) => join(folder, bucket, `${key}._S3rver_object`),
    close: () =>
      new Promise((resolve) => {
        front.closeAllConnections();
        front.close(() => resolve());
      }),
  };
  return made;
}

/** What the server answers at once. */
const REFUSALS: Readonly<Record<string, readonly [number, string]>> = {
  denied: [403, 'AccessDenied'],
  forgotten: [404, 'NoSuchUpload'],
};

/** Status and code where the condition of a write does not hold. */
async function refusalOf(
  server: S3rver,
  { method, headers }: IncomingMessage,
  path: string,
): Promise<readonly [number, string] | undefined> {
  const [absent, tag] = [headers['if-none-match'], headers['if-match']];
  if (method !== 'PUT' || (absent === undefined && tag === undefined)) return undefined;
  const [bucket = '', ...parts] = decodeURIComponent(path).slice(1).split('/');
  const now = await server.store.getMetadata(bucket, parts.join('/')).catch(() => undefined);
  if (absent !== undefined) return now === undefined ? undefined : [412, 'PreconditionFailed'];
  if (now === undefined) return [404, 'NoSuchKey'];
  return now.etag === tag ? undefined : [412, 'PreconditionFailed'];
}

function breakAnswer(request: IncomingMessage, response: ServerResponse, fault: 'unanswered' | 'cut'): void {
  let left = fault === 'cut' ? 1000 : 0;
  const write = response.write.bind(response);
  const broken = (chunk: unknown): boolean => {
    if (chunk instanceof Uint8Array && left > 0) write(chunk.subarray(0, left));
    if (chunk instanceof Uint8Array) left -= chunk.length;
    if (left <= 0) setTimeout(() => request.socket.destroy(), 5);
    return true;
  };
  response.write = broken as typeof response.write;
  response.end = ((chunk: unknown) => {
    left = Math.min(left, 0);
    broken(chunk);
    return response;
  }) as typeof response.end;
}
