/** Objects and claims of an object store: conditions, parts, digests, leases, answers that are lost. */
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ownerTag } from '../../src/files/owner.js';
import { digestOfWhole } from '../../src/files/range-digests.js';
import { silentContext } from '../../src/log.js';
import { claimText, factsOf } from '../../src/work/claim-text.js';
import { storeAddress } from '../../src/work/store/s3/address.js';
import { pathInside } from '../../src/work/store/s3/cache-folder.js';
import { openClient } from '../../src/work/store/s3/client.js';
import { inputLayout } from '../../src/work/store/s3/input-layout.js';
import { objectKey, unitKey } from '../../src/work/store/s3/keys.js';
import { S3Objects } from '../../src/work/store/s3/objects.js';
import { S3Claims } from '../../src/work/store/s3/s3-claims.js';
import { temporaryFolder } from '../support/paths.js';
import { type S3Server, startS3 } from '../support/s3-server.js';
import { until } from '../support/until.js';

const folder = temporaryFolder();
const at = (name: string): string => join(folder, name);
const PART = 100_000;
let server: S3Server;
let objects: S3Objects;
let time = 0;
let places = 0;
const opened: S3Claims[] = [];

beforeAll(async () => {
  server = await startS3(at('store'), ['plans']);
  Object.assign(process.env, server.environment);
});
beforeEach(async () => {
  objects = new S3Objects(storeAddress(`s3://plans/${places++}/a b/`, 'plan'), await openClient(), { bytes: PART });
});
afterEach(async () => {
  server.fault = () => undefined;
  for (const each of opened.splice(0)) await each.close();
  objects.close();
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

/** The next request of a method gets a fault. */
function once(method: string, fault: ReturnType<S3Server['fault']>): void {
  server.fault = (request) => {
    if (request.method !== method) return undefined;
    server.fault = () => undefined;
    return fault;
  };
}

describe('a text', () => {
  it('is written where there is none, or in the place of one that was seen', async () => {
    const first = await objects.put('x', 'one', { absent: true });
    expect(await objects.put('x', 'two', { absent: true })).toBeUndefined();
    expect(await objects.text('x')).toEqual({ text: 'one', etag: first });
    const second = await objects.put('x', 'two', { etag: first as string });
    expect(second).toBeDefined();
    expect(await objects.put('x', 'three', { etag: first as string })).toBeUndefined();
    expect(await objects.put('y', 'three', { etag: first as string })).toBeUndefined();
    expect(await objects.list('')).toEqual([{ key: 'x', etag: second, bytes: 3 }]);
    await objects.remove(['x', 'y']);
    expect([await objects.text('x'), await objects.list('')]).toEqual([undefined, []]);
  });

  it('is asked for again while the store is away, but not where it has never answered', async () => {
    await objects.put('x', 'one');
    let refused = 0;
    // The client itself tries three times.
    server.fault = () => (refused++ < 4 ? 'refused' : undefined);
    expect((await objects.text('x'))?.text).toBe('one');
    server.fault = () => 'refused';
    const other = new S3Objects(objects.address, await openClient());
    await expect(other.text('x')).rejects.toMatchObject({ code: 'store', at: objects.address.shown });
    other.close();
  });

  it('of two writers at once is that of one of them', async () => {
    const tags = await Promise.all(['a', 'b', 'c'].map((text) => objects.put('x', text, { absent: true })));
    expect(tags.filter((tag) => tag !== undefined)).toHaveLength(1);
  });
});

describe('a file', () => {
  const write = (bytes: number): { readonly path: string; readonly sha256: string; readonly key: string } => {
    const path = at('source');
    writeFileSync(path, randomBytes(bytes));
    const sha256 = digestOfWhole(path);
    return { path, sha256, key: objectKey(sha256) };
  };

  it.each([0, 1000, PART, 3 * PART + 1])(
    'of %d bytes comes back as it was, also through broken connections',
    async (bytes) => {
      const { path, sha256, key } = write(bytes);
      once('PUT', 'unanswered');
      await objects.upload(path, key, sha256);
      expect((await objects.list('')).map((each) => [each.key, each.bytes])).toEqual([[key, bytes]]);
      once('GET', 'cut');
      expect(await objects.download(key, at('copy'), sha256)).toBe(true);
      expect(readFileSync(at('copy')).equals(readFileSync(path))).toBe(true);
    },
  );

  it('in parts is an object although the answer to the last request was lost', async () => {
    const { path, sha256, key } = write(3 * PART);
    let tries = 0;
    server.fault = ({ method, url = '' }) => {
      if (method !== 'POST' || !url.includes('uploadId')) return undefined;
      return tries++ === 0 ? 'unanswered' : 'forgotten';
    };
    await objects.upload(path, key, sha256);
    expect([tries > 1, (await objects.list('')).map(({ bytes }) => bytes)]).toEqual([true, [3 * PART]]);
  });

  it.each([1000, 3 * PART])('of %d bytes that changes under way becomes no object', async (bytes) => {
    const { path, key } = write(bytes);
    await expect(objects.upload(path, key, '0'.repeat(64))).rejects.toMatchObject({ code: 'input-changed', at: path });
    expect(await objects.list('')).toEqual([]);
  });

  it('with another digest is not taken, and nothing is left half written', async () => {
    const { path, sha256, key } = write(1000);
    await objects.upload(path, key, sha256);
    writeFileSync(at('copy'), 'before');
    expect(await objects.download(key, at('copy'), '0'.repeat(64))).toBe(false);
    expect(await objects.download(objectKey('none'), at('copy'), sha256)).toBe(false);
    expect(readFileSync(at('copy'), 'utf8')).toBe('before');
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('a claim', () => {
  const key = unitKey('unit', 'claim');
  const foreign = { owner: 'mq00000000-1-1.aaaaaaaa', worker: 'elsewhere-1', threads: 1 };
  const lost: string[] = [];
  const onLost = async (worker: string): Promise<void> => void lost.push(worker);

  const claims = (leaseSeconds = 60): S3Claims => {
    const made = new S3Claims(objects, { leaseSeconds, threads: 1, log: silentContext().log, now: () => time });
    opened.push(made);
    return made;
  };
  const look = async (...all: readonly S3Claims[]): Promise<void> => {
    const found = await objects.text(key);
    for (const each of all) each.observe(new Map(found === undefined ? [] : [['unit', found]]));
  };
  const ownerNow = async (): Promise<string> => factsOf((await objects.text(key))?.text ?? '')?.owner ?? '';
  beforeEach(() => void lost.splice(0));

  it('is one worker’s at a time, and free again when it is given up', async () => {
    const [first, second] = [claims(), claims()];
    const taken = await Promise.all([first.take('unit', onLost), second.take('unit', onLost)]);
    expect(taken.filter((claim) => claim !== undefined)).toHaveLength(1);
    await look(first, second);
    expect([first.isTaken('unit'), await second.take('unit', onLost)]).toEqual([true, undefined]);
    await taken.find((claim) => claim !== undefined)?.release();
    await look(first, second);
    expect(second.isTaken('unit')).toBe(false);
    const again = await Promise.all([first.take('unit', onLost), second.take('unit', onLost)]);
    expect([again.filter((claim) => claim !== undefined).length, lost]).toEqual([1, []]);
  });

  it('of another machine is taken over when it has not changed for the lease, and not before', async () => {
    const own = claims();
    for (let beat = 0; beat < 3; beat++) {
      await objects.put(key, claimText(foreign, beat));
      await look(own);
      time += 59_999;
      await look(own);
      expect(await own.take('unit', onLost)).toBeUndefined();
    }
    time += 1;
    const claim = await own.take('unit', onLost);
    expect([await ownerNow(), lost]).toEqual([expect.stringContaining(ownerTag()), ['elsewhere-1']]);
    // Its first owner was alive after all, and takes it over in turn.
    await objects.put(key, claimText({ ...foreign, worker: 'elsewhere-2' }));
    await claim?.release();
    expect(await ownerNow()).toBe(foreign.owner);
  });

  it('that has changed since it was seen is not taken over', async () => {
    const own = claims();
    await objects.put(key, claimText(foreign, 0));
    await look(own);
    time += 60_000;
    await objects.put(key, claimText(foreign, 1));
    expect(await own.take('unit', onLost)).toBeUndefined();
    expect([await ownerNow(), lost]).toEqual([foreign.owner, []]);
  });

  it('of an ended process of this machine is free at once', async () => {
    const own = claims();
    const ended = ownerTag().replace(/-\d+-\d+$/, '-4194303-1');
    await objects.put(key, claimText({ ...foreign, owner: `${ended}.aaaaaaaa` }));
    await look(own);
    expect(await own.take('unit', onLost)).toBeDefined();
  });

  it('is its owner’s although the answer was lost, and its beat goes on', async () => {
    const own = claims(0.4);
    once('PUT', 'unanswered');
    const claim = await own.take('unit', onLost);
    expect(claim).toBeDefined();
    const beat = async (): Promise<number> => Number(factsOf((await objects.text(key))?.text ?? '')?.beat);
    await until('a beat', async () => (await beat()) > 0);
    once('PUT', 'unanswered');
    const before = await beat();
    await until('two more beats', async () => (await beat()) > before + 2);
    await claim?.release();
    expect(factsOf((await objects.text(key))?.text ?? '')).toMatchObject({ released: true });
  });
});

describe('an address', () => {
  it('names a bucket and what names of objects begin with', () => {
    expect(storeAddress('s3://plans', 'plan')).toEqual({ bucket: 'plans', prefix: '', shown: 's3://plans' });
    expect(storeAddress('S3://a.b-c/x//y/', 'plan')).toEqual({
      bucket: 'a.b-c',
      prefix: 'x//y',
      shown: 's3://a.b-c/x//y',
    });
    for (const none of ['s3:', 's3://', 's3:///x', 's3://b/../x', 's3://b/a\nb', `s3://b/${'x'.repeat(800)}`])
      expect(() => storeAddress(none, 'plan')).toThrow(expect.objectContaining({ code: 'bad-usage', at: 'plan' }));
  });
});

it('a path of a plan does not leave the folder of a worker', () => {
  expect(pathInside('/a', 'inputs/0/m.onnx')).toBe(join('/a/inputs/0/m.onnx'));
  for (const path of ['../m.onnx', 'inputs/../../m.onnx', '/m.onnx'])
    expect(() => pathInside('/a', path)).toThrow(expect.objectContaining({ code: 'damaged-file' }));
});

it('files that lie together stay together, and those of other folders have folders of their own', () => {
  const name = inputLayout({
    folder: { name: 'm', folder: '/a/m', graph: '/a/m/onnx/model.onnx', configs: {}, notices: [] },
    statistics: ['/s/first'],
  });
  expect(name('/a/m/onnx/model.onnx')).toBe('inputs/0/m/onnx/model.onnx');
  expect(name('/a/config.json')).toBe('inputs/0/config.json');
  expect(name('/s/first/statistics.json')).toBe('inputs/1/first/statistics.json');
  expect([name('/t/one.txt'), name('/u/one.txt'), name('/t/two.txt')]).toEqual([
    'inputs/2/one.txt',
    'inputs/3/one.txt',
    'inputs/2/two.txt',
  ]);
});
