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
  const options = { ort, store: noStore, session: { executionProviders: ['${device}'] } };
  let model, talk;
  globalThis.step = async (bits) => {
    const start = performance.now();
    if (bits === undefined) {
      model = await openNested('set/${basename(manifest)}', options);
      talk = new Conversation(model, ort.Tensor);
    } else await model.upgrade(bits);
    await talk.generate(bits === undefined ? [1, 80, 147, 201] : [], { maxTokens: 1 }).next();
    return { model: model.model, seconds: Number(((performance.now() - start) / 1000).toFixed(2)) };
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
  const rows: unknown[] = [];
  for (const bits of ['', '4', '8']) {
    const before = server.sentInAll();
    const row = await opened.evaluate<object>(`step(${bits})`);
    rows.push({ ...row, bytes: server.sentInAll() - before });
  }
  console.table(rows);
} finally {
  await browser.close();
  await server.close();
}
