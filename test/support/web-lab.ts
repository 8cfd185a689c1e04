/** A set, the example page and its libraries on a static server, and a Chromium that opens them. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { splitPlanes } from '../../src/set/index.js';
import { chromiumPath, launchChromium } from './chromium.js';
import { runChild } from './command-line.js';
import { fixture, root, temporaryFolder } from './paths.js';
import { type StaticServer, serveFolders } from './static-server.js';
import { mistral } from './stories.js';

export interface WebLab {
  readonly browser: Browser;
  readonly server: StaticServer;
  /** Folder of the set model.json (int2 to int8, block 32) and its tokenizer. */
  readonly set: string;
  /** True when the browser has a WebGPU adapter. */
  readonly hasAdapter: boolean;
  /** True when its shaders can compute in float16. */
  readonly hasHalf: boolean;
  /** An empty page with storage of its own. */
  newPage(options?: BrowserContextOptions): Promise<Page>;
  /** A page without storage of an earlier one. Its global `lab` has `open`, `feed`, `upgrade` and `generate`. */
  openPage(): Promise<Page>;
  close(): Promise<void>;
}

/** Milliseconds that a page is waited for: a busy machine may be ten times slower than a quiet one. */
export const PATIENCE = 100_000;

/** What the page of `openPage` runs. */
const LAB = `<!doctype html><link rel="icon" href="data:,"><script type="module">
  import { Conversation, openNested } from './vendor/onnx-matquant/index.js';
  let [model, talk, last] = [];
  const onProgress = (progress) => { last = progress; };
  globalThis.lab = {
    received: () => last?.loaded ?? 0,
    async open(device, options = {}) {
      const ort = await import('./vendor/onnxruntime-web/ort.' + device + '.min.mjs');
      ort.env.logLevel = 'error';
      const download = { attempts: 3, delay: 1 };
      model = await openNested('set/model.json', { ort, onProgress, download, session: { executionProviders: [device] }, ...options });
      talk = new Conversation(model, ort.Tensor);
      return { model: model.model, ...last };
    },
    feed: async (ids) => [...await talk.feed(ids)],
    async upgrade(bits) {
      await model.upgrade(bits, { onProgress });
      return { model: model.model, tokens: talk.length, ...last };
    },
    async generate(ids, options) {
      const found = [];
      for await (const id of talk.generate(ids, options)) found.push(id);
      return found;
    },
  };
</script>`;

/** undefined where the machine has no Chromium. */
export async function openWebLab(): Promise<WebLab | undefined> {
  if (chromiumPath === undefined) return undefined;
  const work = temporaryFolder();
  const set = join(work, 'out');
  const made = runChild(['compile', mistral, '-o', set, '--preset', 'data-free', '--block', '32', '--quiet']);
  if (made.code !== 0) throw new Error(made.stderr);
  const page = temporaryFolder();
  writeFileSync(join(page, 'index.html'), LAB);
  const server = await serveFolders({
    '': assembleSite(work),
    lab: page,
    'lab/set': set,
    'lab/vendor/onnx-matquant': join(root, 'dist/src/web'),
    'lab/vendor/onnxruntime-web': join(root, 'node_modules/onnxruntime-web/dist'),
    ...(await transformersPage(set)),
  });
  const browser = await launchChromium();
  const newPage = async (options: BrowserContextOptions = {}): Promise<Page> => {
    const opened = await (await browser.newContext(options)).newPage();
    opened.setDefaultTimeout(PATIENCE);
    return opened;
  };
  const openPage = async (): Promise<Page> => {
    const opened = await newPage();
    await opened.goto(`${server.url}lab/`);
    await opened.waitForFunction('globalThis.lab !== undefined');
    return opened;
  };
  const first = await openPage();
  const adapter = await first.evaluate<boolean | undefined>(
    "navigator.gpu?.requestAdapter().then((found) => found?.features.has('shader-f16'))",
  );
  await first.close();
  const close = async (): Promise<void> => {
    await browser.close();
    await server.close();
  };
  return {
    browser,
    server,
    set,
    hasAdapter: adapter !== undefined,
    hasHalf: adapter === true,
    newPage,
    openPage,
    close,
  };
}

/**
 * A page with stock transformers.js below `transformers`. Its global `generate` takes the bits and the names of the data files of a
 * set that was split by precision.
 */
async function transformersPage(set: string): Promise<Record<string, string>> {
  const folder = temporaryFolder();
  cpSync(fixture('models/mistral-656k'), join(folder, 'model'), { recursive: true });
  await splitPlanes({ set: join(set, 'model.json'), output: join(folder, 'model/onnx') });
  const imports = {
    'onnxruntime-web/webgpu': './ort/ort.webgpu.min.mjs',
    'onnxruntime-common': './common/index.js',
    '@huggingface/tokenizers': './tokenizers/tokenizers.mjs',
    '@huggingface/jinja': './jinja/index.js',
  };
  writeFileSync(
    join(folder, 'index.html'),
    `<!doctype html><link rel="icon" href="data:,"><script type="importmap">${JSON.stringify({ imports })}</script>
    <script type="module">
      import { AutoModelForCausalLM, AutoTokenizer, env } from './library/transformers.web.js';
      Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: './' });
      env.backends.onnx.wasm.wasmPaths = '/transformers/ort/';
      globalThis.generate = async (bits, names) => {
        const tokenizer = await AutoTokenizer.from_pretrained('model');
        const externalData = names.map((path) => ({ path, data: 'onnx/' + path }));
        const options = { dtype: 'fp32', device: 'wasm', model_file_name: 'model_int' + bits, session_options: { externalData } };
        const model = await AutoModelForCausalLM.from_pretrained('model', options);
        const ids = await model.generate({ ...tokenizer('Once upon a time'), max_new_tokens: 8 });
        return ids.tolist()[0].map(Number);
      };
    </script>`,
  );
  const library = (name: string): string => join(root, 'node_modules', name);
  return {
    transformers: folder,
    'transformers/ort': library('onnxruntime-web/dist'),
    'transformers/common': library('onnxruntime-common/dist/esm'),
    'transformers/tokenizers': library('@huggingface/tokenizers/dist'),
    'transformers/jinja': library('@huggingface/jinja/dist'),
    'transformers/library': library('@huggingface/transformers/dist'),
  };
}

/** Runs what examples/web/README.md says beside the set `out`, with this package as the installed one. Returns the site. */
function assembleSite(work: string): string {
  mkdirSync(join(work, 'node_modules/@huggingface'), { recursive: true });
  symlinkSync(root, join(work, 'node_modules/onnx-matquant'));
  for (const name of ['onnxruntime-web', '@huggingface/tokenizers'])
    symlinkSync(join(root, 'node_modules', name), join(work, 'node_modules', name));
  cpSync(fixture('models/mistral-656k'), join(work, 'model'), { recursive: true });
  const readme = readFileSync(join(root, 'examples/web/README.md'), 'utf8');
  const commands = /```sh\n(mkdir[^`]*)```/.exec(readme)?.[1] ?? 'exit 1';
  const { status, stderr } = spawnSync('sh', ['-e', '-c', commands], { cwd: work, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return join(work, 'site');
}
