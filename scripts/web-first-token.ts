/**
 * Time and bytes from a click to the first token in Chromium, and to larger precisions, over a connection of a given speed:
 *   node dist/scripts/web-first-token.js SET/NAME.json [MBIT_PER_SECOND] [wasm|webgpu]
 * Bytes are those of the set (manifest, graphs and data). ONNX Runtime Web is loaded before the clock starts.
 */

import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { chromiumPath, launchChromium } from '../test/support/chromium.js';
import { root } from '../test/support/paths.js';
import { serveFolders } from '../test/support/static-server.js';

const [manifest, speed = '20', device = 'wasm'] = process.argv.slice(2);
if (manifest === undefined || chromiumPath === undefined) throw new Error('needs a manifest, and Chromium');

const PAGE = `<!doctype html><link rel="icon" href="data:,"><script type="module">
  import * as ort from './ort/ort.${device}.min.mjs';
  import { Conversation, noStore, openNested } from './matquant/index.js';
  ort.env.logLevel = 'error';
  await ort.InferenceSession.create(new Uint8Array(1)).catch(() => undefined);
  globalThis.measure = async (bits) => {
    const rows = [];
    const start = performance.now();
    const bytes = () => performance.getEntriesByType('resource').filter(({ name }) => name.includes('/set/'))
      .reduce((sum, each) => sum + each.encodedBodySize, 0);
    const row = (model) => rows.push({ model, seconds: (performance.now() - start) / 1000, bytes: bytes() });
    const options = { ort, store: noStore, session: { executionProviders: ['${device}'] } };
    const model = await openNested('set/${basename(manifest)}', options);
    const talk = new Conversation(model, ort.Tensor);
    const next = (ids) => talk.generate(ids, { maxTokens: 1 }).next();
    await next([1, 80, 147, 201]);
    row(model.model);
    for (const each of bits) {
      await model.upgrade(each);
      await next([]);
      row(model.model);
    }
    return rows;
  };
  globalThis.ready = true;
</script>`;

const page = mkdtempSync(join(tmpdir(), 'matquant-web-'));
writeFileSync(join(page, 'index.html'), PAGE);
const server = await serveFolders({
  '': page,
  ort: join(root, 'node_modules/onnxruntime-web/dist'),
  matquant: join(root, 'dist/src/web'),
  set: dirname(manifest),
});
const browser = await launchChromium();
try {
  const opened = await (await browser.newContext()).newPage();
  await opened.goto(server.url);
  await opened.waitForFunction('globalThis.ready');
  const session = await opened.context().newCDPSession(opened);
  const rate = (Number(speed) * 1e6) / 8;
  const conditions = { offline: false, latency: 40, downloadThroughput: rate, uploadThroughput: rate };
  await session.send('Network.enable');
  await session.send('Network.emulateNetworkConditions', conditions);
  console.table(await opened.evaluate('measure([4, 8])'));
} finally {
  await browser.close();
  await server.close();
}
