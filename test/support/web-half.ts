/** A float16 model on WebGPU: which of its nodes have no kernel there, and its logits. */
import type { Page } from 'playwright-core';

export interface HalfRun {
  /** Names of nodes that the WebGPU provider has no kernel for. */
  readonly missing: readonly string[];
  readonly logits?: readonly number[];
  /** Why it did not run. */
  readonly refused?: string;
}

/** Opens `GRAPH` and `GRAPH_data` below the page and runs it over ids from empty caches. */
export async function runHalf(page: Page, graph: string, ids: readonly number[]): Promise<HalfRun> {
  const missing: string[] = [];
  page.on('console', (message) => {
    const name = /webgpu kernel not found .* node name: (.+)$/.exec(message.text())?.[1];
    if (name !== undefined) missing.push(name.trim());
  });
  const result = await page.evaluate<Omit<HalfRun, 'missing'>>(`(${inPage})(${JSON.stringify({ graph, ids })})`);
  return { ...result, missing };
}

/** Text, since the types of browsers are none of this project's. */
const inPage = `async ({ graph, ids }) => {
  const ort = await import('./vendor/onnxruntime-web/ort.webgpu.min.mjs');
  ort.env.logLevel = 'verbose';
  const read = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
  const name = graph.split('/').at(-1) + '_data';
  const externalData = [{ path: name, data: await read(graph + '_data') }];
  const options = { executionProviders: ['webgpu'], logSeverityLevel: 0, externalData };
  const session = await ort.InferenceSession.create(await read(graph), options);
  const int64 = (values) => new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, ids.length]);
  const given = { input_ids: ids, position_ids: ids.map((_, at) => at), attention_mask: ids.map(() => 1) };
  const Half = globalThis.Float16Array ?? Uint16Array;
  const feeds = Object.fromEntries(session.inputMetadata.map(({ name, type, shape }) => {
    if (name in given) return [name, int64(given[name])];
    return [name, new ort.Tensor(type, new (type === 'float16' ? Half : Float32Array)(0), [1, shape[1], 0, shape[3]])];
  }));
  try {
    const { logits } = await session.run(feeds, ['logits']);
    return { logits: [...logits.data] };
  } catch (error) {
    return { refused: String(error) };
  }
}`;
