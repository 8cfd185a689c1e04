import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { silentContext } from '../../src/log.js';
import { type HubEnvironment, hubEnvironment } from '../../src/source/environment.js';
import { openHubText } from '../../src/source/hub-text.js';
import { openInput } from '../../src/source/input.js';
import { COMMIT, type HubServer, startHub } from '../support/hub-server.js';
import { fixture, temporaryFolder } from '../support/paths.js';
import { toyModel, writeToy } from '../support/toy.js';

const root = temporaryFolder();
const context = silentContext();
const mistral = (name: string): Buffer => readFileSync(fixture(`models/mistral-656k/${name}`));
const CARD = '---\nlicense: cdla-sharing-1.0\nbase_model:\n- org/parent\n---\n# Stories\n';
const FILES = {
  'README.md': CARD,
  LICENSE: 'terms',
  'config.json': mistral('config.json'),
  'generation_config.json': mistral('generation_config.json'),
  'tokenizer.json': mistral('tokenizer.json'),
  'tokenizer_config.json': mistral('tokenizer_config.json'),
  'onnx/model.onnx': mistral('model.onnx'),
  'onnx/model_q4.onnx': 'quantized',
  'model.safetensors': 'weights of another framework',
};
const DOCUMENT = JSON.stringify({ text: 'Once upon a time there was a document. '.repeat(2000), url: 'x' });

let server: HubServer;
let hub: HubEnvironment;
let count = 0;

beforeAll(async () => {
  writeToy(root, 'model', toyModel());
  const toy = (name: string): Buffer => readFileSync(join(root, name));
  server = await startHub([
    { id: 'models/org/stories', files: FILES },
    { id: 'models/org/apart', files: { 'model.onnx': toy('model.onnx'), 'model.onnx.data': toy('model.onnx.data') } },
    { id: 'models/org/gated', files: FILES, gated: 'hf_right' },
    { id: 'models/org/huge', files: { 'model.onnx': 'a' }, sizes: { 'model.onnx': 2 ** 52 } },
    {
      id: 'models/org/three',
      files: {
        'onnx/decoder_model_merged.onnx': toy('model.onnx'),
        'onnx/model.onnx.data': toy('model.onnx.data'),
        'onnx/embed_tokens.onnx': toy('model.onnx'),
        'onnx/embed_tokens_q4.onnx': 'quantized',
        'onnx/vision_encoder_fp16.onnx': toy('model.onnx'),
        'onnx/vision_encoder_q4.onnx': 'quantized',
        'preprocessor_config.json': '{}',
      },
    },
    { id: 'models/org/two', files: { 'a.onnx': 'a', 'b.onnx': 'b' } },
    {
      id: 'datasets/allenai/c4',
      files: { 'en/c4-validation.00000-of-00008.json.gz': gzipSync(`${DOCUMENT}\n`.repeat(100), { level: 0 }) },
    },
  ]);
});
afterAll(async () => {
  await server.close();
  rmSync(root, { recursive: true });
});
beforeEach(() => {
  hub = hubEnvironment({ HF_ENDPOINT: `${server.endpoint}/`, HF_HOME: join(root, `home-${count++}`) });
  server.downloads.length = 0;
});

const refusal = (model: string, more: Partial<HubEnvironment> = {}, file?: string): Promise<unknown> =>
  openInput(model, { hub: { ...hub, ...more }, file }, context).then(
    () => 'opened',
    (error: unknown) => error,
  );

describe('a model on the hub', () => {
  it('is downloaded into the cache of the hub, only what is needed, and once', async () => {
    const model = await openInput('hf:org/stories', { hub }, context);
    const storage = join(hub.cache, 'models--org--stories');
    const snapshot = join(storage, 'snapshots', COMMIT);
    expect(model).toMatchObject({
      name: 'stories',
      graph: join(snapshot, 'onnx/model.onnx'),
      tokenizer: join(snapshot, 'tokenizer.json'),
      configs: { 'config.json': join(snapshot, 'config.json') },
      notices: [join(snapshot, 'LICENSE')],
      licence: 'cdla-sharing-1.0',
      baseModel: 'org/parent',
      origin: { repo: 'org/stories', revision: COMMIT },
    });
    const sha256 = createHash('sha256').update(FILES['onnx/model.onnx']).digest('hex');
    expect(readlinkSync(model.graph)).toBe(`../../../blobs/${sha256}`);
    expect(readFileSync(join(storage, 'refs/main'), 'utf8')).toBe(COMMIT);
    expect(server.downloads.toSorted()).toEqual(
      Object.keys(FILES)
        .filter((path) => !/q4|safetensors/.test(path))
        .toSorted(),
    );
    server.downloads.length = 0;
    expect(await openInput(`hf:org/stories@${COMMIT}`, { hub }, context)).toEqual(model);
    expect(server.downloads).toEqual([]);
    expect(
      await openInput('hf:org/stories', { hub: { ...hub, endpoint: 'http://127.0.0.1:1', offline: true } }, context),
    ).toEqual(model);
  });

  it('brings the graphs beside a decoder of vectors, one form of each, with their data', async () => {
    const { graph, parts } = await openInput('hf:org/three', { hub }, context);
    const here = (name: string): string => join(hub.cache, 'models--org--three/snapshots', COMMIT, 'onnx', name);
    expect(graph).toBe(here('decoder_model_merged.onnx'));
    expect(parts).toEqual([here('embed_tokens.onnx'), here('vision_encoder_fp16.onnx')]);
    expect(server.downloads.filter((line) => line.includes('q4'))).toEqual([]);
    expect(server.downloads).toContain('preprocessor_config.json');
    expect(existsSync(here('model.onnx.data'))).toBe(true);
  });

  it('is resumed where connections broke, in this run and in the next', async () => {
    const bytes = FILES['onnx/model.onnx'].length;
    server.breaks.set('onnx/model.onnx', [1_000_000, 500_000]);
    const { graph } = await openInput('hf:org/stories', { hub }, context);
    expect(readFileSync(graph).equals(FILES['onnx/model.onnx'])).toBe(true);
    const starts = server.downloads
      .filter((line) => line.startsWith('onnx/'))
      .map((line) => Number.parseInt(line.split(' ')[1] ?? '0', 10));
    expect(starts).toHaveLength(3);
    expect(starts[1]).toBeGreaterThan(500_000);
    expect(starts[2]).toBeGreaterThan(starts[1] as number);

    const sha256 = createHash('sha256').update(FILES['onnx/model.onnx']).digest('hex');
    const other = { ...hub, cache: join(root, 'killed') };
    const blobs = join(other.cache, 'models--org--stories/blobs');
    mkdirSync(blobs, { recursive: true });
    writeFileSync(join(blobs, `${sha256}.incomplete`), FILES['onnx/model.onnx'].subarray(0, 2_000_000));
    server.downloads.length = 0;
    const again = await openInput('hf:org/stories', { hub: other }, context);
    expect(readFileSync(again.graph)).toHaveLength(bytes);
    expect(server.downloads).toContain('onnx/model.onnx 2000000-');
  });

  it('is not used when it has other bytes, and is downloaded anew', async () => {
    server.wrong.add('onnx/model.onnx');
    expect(await refusal('hf:org/stories')).toMatchObject({ code: 'hub-damaged', at: 'org/stories: onnx/model.onnx' });
    expect(
      readdirSync(join(hub.cache, 'models--org--stories/blobs')).filter((name) => name.endsWith('incomplete')),
    ).toEqual([]);
    server.wrong.clear();
    expect(await refusal('hf:org/stories')).toBe('opened');
  });

  it('has its data files beside it', async () => {
    const { graph } = await openInput('hf:org/apart', { hub }, context);
    expect(readFileSync(join(graph, '../model.onnx.data'))).toEqual(readFileSync(join(root, 'model.onnx.data')));
  });

  it('needs the token of a gated repository, which no other host sees', async () => {
    const error = await refusal('hf:org/gated');
    expect(error).toMatchObject({ code: 'hub-access', at: 'org/gated' });
    expect(String(error)).toContain(`${server.endpoint}/org/gated`);
    expect(await refusal('hf:org/gated', { token: 'hf_wrong' })).toMatchObject({ code: 'hub-access' });
    expect(await refusal('hf:org/gated', { token: 'hf_right' })).toBe('opened');
    expect(server.leaked).toEqual([]);
  });

  it.each([
    ['hf:org', 'hub-not-found'],
    ['hf:org/none', 'hub-not-found'],
    ['hf:org/stories@other', 'hub-not-found'],
    ['hf:org/../stories', 'hub-name'],
    ['hf:org/stories@../main', 'hub-name'],
    ['hf:org/two', 'several-graphs'],
    ['hf:org/huge', 'disk-full'],
  ])('%s is refused with %s', async (model, code) => {
    expect(await refusal(model)).toMatchObject({ code });
  });

  it('is refused offline when it was never downloaded, and names the graphs there are', async () => {
    expect(await refusal('hf:org/stories', { offline: true })).toMatchObject({ code: 'hub-offline' });
    expect(await refusal('hf:org/two', {}, 'c.onnx')).toMatchObject({ code: 'no-graph' });
    expect(String(await refusal('hf:org/two'))).toContain('a.onnx, b.onnx');
  });
});

it('compiles from the hub to the bytes that a local folder gives', async () => {
  const local = join(root, 'stories');
  for (const [path, contents] of Object.entries(FILES)) {
    mkdirSync(join(local, path, '..'), { recursive: true });
    writeFileSync(join(local, path), contents);
  }
  const recipe = { method: 'rtn', bits: [8, 4] } as const;
  server.breaks.set('onnx/model.onnx', [1_000_000]);
  const remote = await compile({ model: 'hf:org/stories', output: join(root, 'remote'), recipe, hub }, context);
  const beside = await compile({ model: local, recipe }, context);
  expect(remote.model.origin?.repo).toBe('org/stories');
  expect(join(beside.output)).toMatch(/stories-matquant$/);
  const names = readdirSync(join(root, 'stories-matquant')).toSorted();
  expect(readdirSync(join(root, 'remote')).toSorted()).toEqual(names);
  for (const name of names)
    expect(readFileSync(join(root, 'remote', name)).equals(readFileSync(join(root, 'stories-matquant', name)))).toBe(
      true,
    );
});

it('compiles a model whose data are links into the blobs, under their own names', async () => {
  const recipe = { method: 'rtn', block: 32, bits: [8, 4] } as const;
  const output = join(root, 'apart');
  await compile({ model: 'hf:org/apart', output, recipe, hub }, context);
  const { source } = JSON.parse(readFileSync(join(output, 'model.json'), 'utf8'));
  expect(source.files.map(({ name }: { readonly name: string }) => name)).toEqual(['model.onnx', 'model.onnx.data']);
});

describe('text of C4', () => {
  it('is streamed until there is enough, in two parts, and kept', async () => {
    server.breaks.set('en/c4-validation.00000-of-00008.json.gz', [100_000]);
    const calibration = await openHubText('c4', 'calibration', hub, context);
    const evaluation = await openHubText('c4', 'evaluation', hub, context);
    const lines = (path: string): readonly string[] => readFileSync(path, 'utf8').trim().split('\n');
    const length = (path: string): number => lines(path).reduce((sum, line) => sum + JSON.parse(line).text.length, 0);
    expect(length(calibration)).toBeGreaterThanOrEqual(4 << 20);
    expect(length(evaluation)).toBeGreaterThanOrEqual(1 << 20);
    expect(lines(calibration).length + lines(evaluation).length).toBeLessThan(100);
    server.downloads.length = 0;
    await openHubText('c4', 'calibration', hub, context);
    expect(server.downloads).toEqual([]);
  });

  it('is refused offline when it was not read before', async () => {
    await expect(openHubText('c4', 'calibration', { ...hub, offline: true }, context)).rejects.toMatchObject({
      code: 'hub-offline',
    });
    expect(existsSync(hub.texts)).toBe(false);
  });
});
