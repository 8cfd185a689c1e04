/** The reader with ONNX Runtime Web in a real Chromium: the models of a compiled set, their downloads, and the conversation. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from '@jest/globals';
import type { Page } from 'playwright-core';
import { elementTypeOf } from '../../src/analysis/element-types.js';
import { importModel } from '../../src/onnx/convert/import.js';
import { nodesOf } from '../../src/onnx/ir/graph.js';
import { openDecoder } from '../../src/runtime/decoder.js';
import { promptFeeds, stepFeeds, stepFetches } from '../../src/runtime/feeds.js';
import { generate } from '../../src/runtime/generate.js';
import { ortRuntime } from '../../src/runtime/ort.js';
import type { HostTensor, Outputs } from '../../src/runtime/runtime.js';
import { slice } from '../../src/set/index.js';
import { type HalfRun, runHalf } from '../support/web-half.js';
import { openWebLab, type WebLab } from '../support/web-lab.js';

const found = await openWebLab();
const lab = found as WebLab;
const needsChromium = found === undefined ? it.skip : it;
const needsAdapter = found?.hasAdapter ? it : it.skip;
const needsHalf = found?.hasHalf ? it : it.skip;
const where =
  found === undefined
    ? 'skipped: no Chromium'
    : found.hasAdapter
      ? `WASM, WebGPU${found.hasHalf ? '' : ' without shader-f16'}`
      : 'WASM; no WebGPU adapter';

const PROMPT = [1, 80, 147, 201, 282, 57];
const NEXT = 91;

interface Ranges {
  readonly loaded: number;
  readonly total: number;
  readonly fetched: number;
  readonly ranges: boolean;
}

let page: Page | undefined;
afterEach(async () => {
  await page?.context().close();
  page = undefined;
  if (found === undefined) return;
  Object.assign(lab.server.behaviour, { whole: false, cut: undefined, beforeCut: undefined });
  lab.server.asked.length = 0;
});
afterAll(() => found?.close());

/** Logits of the last position by onnxruntime-node: of a prompt, or of the token after it on the caches of another run. */
async function expected(
  bits: number,
  before?: Outputs,
  prompt: readonly number[] = PROMPT,
): Promise<{ logits: Float32Array; outputs: Outputs }> {
  const decoder = await openDecoder(ortRuntime, join(lab.set, `model_int${bits}.onnx`), { threads: 1 });
  try {
    const feeds = before ? stepFeeds(decoder, NEXT, PROMPT.length, before) : promptFeeds(decoder, prompt);
    const outputs = await decoder.session.run(feeds, stepFetches(decoder));
    const { data, dims } = outputs[decoder.logits.name] as HostTensor;
    return { logits: (data as Float32Array).slice(data.length - (dims.at(-1) as number)), outputs };
  } finally {
    await decoder.session.close();
  }
}

/** Root mean square of the differences. */
const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Math.sqrt(
    Array.from(a, (value, at) => (value - (b[at] as number)) ** 2).reduce((sum, each) => sum + each) / a.length,
  );

const inPage = <R>(expression: string): Promise<R> => (page as Page).evaluate<R>(expression);
const feed = (ids: readonly number[]): Promise<number[]> => inPage(`lab.feed(${JSON.stringify(ids)})`);

/** End of the bytes that a precision needs. */
function needed(bits: number): number {
  const { graphs } = JSON.parse(readFileSync(join(lab.set, 'model.json'), 'utf8')) as {
    graphs: readonly { bits: number; bytesNeeded: number }[];
  };
  return graphs.find((graph) => graph.bits === bits)?.bytesNeeded as number;
}

/** Opens int2, talks, goes to int4, and compares both answers with those of onnxruntime-node. `factor`: how much nearer right is than wrong. */
async function conversation(device: 'wasm' | 'webgpu', factor: number): Promise<void> {
  page = await lab.openPage();
  const before = lab.server.sent();
  expect(await inPage(`lab.open('${device}')`)).toMatchObject({ model: 'int2', fetched: needed(2), ranges: true });
  expect(lab.server.sent() - before).toBe(needed(2));
  const [int2, int4] = [await expected(2), await expected(4)];
  const prompt = await feed(PROMPT);
  expect(distance(prompt, int2.logits) * factor).toBeLessThan(distance(prompt, int4.logits));

  const upgraded = { model: 'int4', tokens: PROMPT.length, loaded: needed(4), total: needed(4) };
  expect(await inPage('lab.upgrade(4)')).toMatchObject(upgraded);
  expect(lab.server.sent() - before).toBe(needed(4));
  const next = await feed([NEXT]);
  const right = await expected(4, int2.outputs);
  // Were the cache lost, or the old session still there, the answer would be one of these.
  const stale = await expected(2, int2.outputs);
  const fresh = await expected(4, int4.outputs);
  const alone = await expected(4, undefined, [NEXT]);
  for (const wrong of [stale, fresh, alone])
    expect(distance(next, right.logits) * factor).toBeLessThan(distance(next, wrong.logits));
}

/** The int4 model of the set in float16, and what comes of it on WebGPU. */
async function halfOnWebGpu(): Promise<{ readonly half: string; readonly run: HalfRun }> {
  const half = join(lab.set, 'half/model.onnx');
  await slice({ set: join(lab.set, 'model.json'), bits: 4, output: half, standalone: true, float16: true });
  page = await lab.openPage();
  return { half, run: await runHalf(page, 'set/half/model.onnx', PROMPT) };
}

describe(`a set in Chromium (${where})`, () => {
  needsChromium('answers with int2, and goes on with int4 after a download of what is missing', () =>
    conversation('wasm', 10),
  );

  needsAdapter('does the same on WebGPU', () => conversation('webgpu', 3), 180_000);

  needsAdapter(
    'has a float16 kernel on WebGPU for every node that computes in float16',
    async () => {
      const { half, run } = await halfOnWebGpu();
      const named = [...nodesOf(importModel(half).graph)]
        .filter((node) => node.outputs.some((value) => value !== undefined && elementTypeOf(value) === 'float16'))
        .map(({ name }) => name);
      expect(named.length).toBeGreaterThan(50);
      expect(run.missing.filter((name) => named.includes(name))).toEqual([]);
      // SwiftShader has no shader-f16; the test below needs it.
      if (!lab.hasHalf) expect(run.refused).toMatch(/requires f16/);
    },
    180_000,
  );

  needsHalf(
    'gives the logits of the float32 form in float16 on WebGPU',
    async () => {
      const { run } = await halfOnWebGpu();
      const [int4, int2] = [await expected(4), await expected(2)];
      const logits = run.logits?.slice(-int4.logits.length) ?? [];
      expect(distance(logits, int4.logits) * 3).toBeLessThan(distance(logits, int2.logits));
    },
    180_000,
  );

  needsChromium('goes on after connections that broke, and after a reload', async () => {
    page = await lab.openPage();
    // A browser drops what a page has not read when the connection breaks, so it breaks after the page has read something.
    let received = 0;
    lab.server.behaviour.cut = 700_000;
    lab.server.behaviour.beforeCut = async () => {
      await page?.waitForFunction(`lab.received() > ${received}`);
      received = await inPage('lab.received()');
    };
    expect(await inPage("lab.open('wasm')")).toMatchObject({ model: 'int2', fetched: needed(2) });
    const starts = lab.server.asked.map((range) => Number(/\d+/.exec(range)?.[0]));
    expect(starts.length).toBeGreaterThan(2);
    expect(starts).toEqual([0, ...starts.slice(1).sort((a, b) => a - b)]);
    expect(starts[1]).toBeGreaterThan(0);
    lab.server.behaviour.cut = undefined;
    const sent = lab.server.sent();
    await page.reload();
    await page.waitForFunction('globalThis.lab !== undefined');
    expect(await inPage("lab.open('wasm', { bits: 4 })")).toMatchObject({ fetched: needed(4) - needed(2) });
    expect(lab.server.sent() - sent).toBe(needed(4) - needed(2));
    const [answer, right, wrong] = [await feed(PROMPT), await expected(4), await expected(2)];
    expect(distance(answer, right.logits) * 10).toBeLessThan(distance(answer, wrong.logits));
  });

  needsChromium('has one file per precision for stock transformers.js, which downloads each of them once', async () => {
    page = await lab.newPage();
    await page.goto(`${lab.server.url}transformers/`);
    await page.waitForFunction('globalThis.generate !== undefined');
    const { data } = JSON.parse(readFileSync(join(lab.set, 'model.json'), 'utf8')) as { data: string };
    const names = ['rest', 'int2', 'int3', 'int4'].map((name) => data.replace(/data$/, `${name}.data`));
    const before = lab.server.sent();
    for (const bits of [2, 4]) {
      const decoder = await openDecoder(ortRuntime, join(lab.set, `model_int${bits}.onnx`), { threads: 1 });
      const { ids } = await generate(decoder, PROMPT, 8);
      await decoder.session.close();
      const used = JSON.stringify(names.slice(0, bits));
      expect(await inPage(`generate(${bits}, ${used})`)).toEqual([...PROMPT, ...ids]);
      expect(lab.server.sent() - before).toBe(needed(bits));
    }
  });

  needsChromium('takes the beginning of whole files from a server without Range, and says so', async () => {
    lab.server.behaviour.whole = true;
    page = await lab.openPage();
    expect(await inPage("lab.open('wasm')")).toMatchObject({ model: 'int2', fetched: needed(2), ranges: false });
    expect(await inPage<Ranges>('lab.upgrade(4)')).toMatchObject({ loaded: needed(4), ranges: false });
    expect(await inPage<number[]>(`lab.generate(${JSON.stringify(PROMPT)}, { maxTokens: 3 })`)).toHaveLength(3);
  });
});
