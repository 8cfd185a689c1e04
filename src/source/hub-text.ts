/**
 * Calibration and evaluation text from public data sets on the hub: C4's validation shard, whose first documents are streamed, and
 * WikiText-2. The part to learn from and the part to score on have no document in common.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline, Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { createGunzip } from 'node:zlib';
import { CompilerError, fail } from '../diagnostics.js';
import { staged } from '../files/staging.js';
import type { Context } from '../log.js';
import type { HubEnvironment } from './environment.js';
import { openHubFile } from './hub.js';
import { ATTEMPTS, fileUrl, hubFetch, pause, type Repository, reasonOf } from './hub-requests.js';
import { readZipEntry } from './zip.js';

export type TextPart = 'calibration' | 'evaluation';
export type HubText = 'c4' | 'wikitext';

/** Whether the name of a text is that of a data set that is downloaded. */
export const isHubText = (file: string): file is HubText => file === 'c4' || file === 'wikitext';

const C4: Repository = { type: 'dataset', name: 'allenai/c4', revision: 'main' };
const C4_FILE = 'en/c4-validation.00000-of-00008.json.gz';
/** Characters for calibration, about a million tokens: thirty times what recipes take by default. */
const C4_CALIBRATION = 4 << 20;
/** Characters behind them for scores, about 250,000 tokens. */
const C4_EVALUATION = 1 << 20;

const WIKITEXT: Repository = { type: 'dataset', name: 'ggml-org/ci', revision: 'main' };
const WIKITEXT_FILE = 'wikitext-2-raw-v1.zip';
const WIKITEXT_PARTS = { calibration: 'wiki.train.raw', evaluation: 'wiki.test.raw' } as const;

/** A text file with the part of a data set, read once and kept in the folder of texts. Fails as downloads do. */
export async function openHubText(
  text: HubText,
  part: TextPart,
  hub: HubEnvironment,
  context: Context,
): Promise<string> {
  const path = join(hub.texts, `${text}-${part}.${text === 'c4' ? 'jsonl' : 'txt'}`);
  if (existsSync(path)) return path;
  if (text === 'c4') await readC4(hub, context);
  else await readWikitext(path, part, hub, context);
  return path;
}

/** Files appear complete or not at all. */
const publish = (path: string, contents: string | Uint8Array): void =>
  staged(path, (temporary) => writeFileSync(temporary, contents));

async function readWikitext(path: string, part: TextPart, hub: HubEnvironment, context: Context): Promise<void> {
  const archive = await openHubFile(WIKITEXT, WIKITEXT_FILE, hub, context);
  const contents = readZipEntry(readFileSync(archive), WIKITEXT_PARTS[part]);
  if (contents === undefined)
    fail('hub-damaged', archive, `The archive has no file ${WIKITEXT_PARTS[part]} that is intact`);
  publish(path, contents);
}

/** Both parts at once: they come from the same stream. A connection that breaks is opened again, from the start. */
async function readC4(hub: HubEnvironment, context: Context): Promise<void> {
  if (hub.offline) fail('hub-offline', C4.name, 'HF_HUB_OFFLINE is set, and the text c4 was not downloaded');
  for (let attempt = 0; ; attempt++) {
    try {
      const { calibration, evaluation } = await streamC4(hub, context);
      for (const [part, lines] of Object.entries({ evaluation, calibration }))
        publish(join(hub.texts, `c4-${part}.jsonl`), lines.map((line) => `${line}\n`).join(''));
      return;
    } catch (error) {
      context.signal.throwIfAborted();
      // Everything but an interrupted stream has its own sentence.
      if (error instanceof CompilerError) throw error;
      if (attempt + 1 >= ATTEMPTS)
        fail('hub-network', C4.name, `The connection breaks again and again (${reasonOf(error)})`);
      await pause(attempt, context.signal);
    }
  }
}

async function streamC4(
  hub: HubEnvironment,
  { signal, progress }: Context,
): Promise<Readonly<Record<TextPart, readonly string[]>>> {
  const url = fileUrl(hub, C4, C4.revision, C4_FILE);
  const response = await hubFetch(hub, C4, signal)(url, { headers: { 'accept-encoding': 'identity' } });
  const body = Readable.fromWeb(response.body as ReadableStream);
  const unpacked = createGunzip();
  // What breaks the connection is thrown where the text is read.
  pipeline(body, unpacked, () => undefined);
  const parts: Record<TextPart, string[]> = { calibration: [], evaluation: [] };
  const total = C4_CALIBRATION + C4_EVALUATION;
  let characters = 0;
  try {
    for await (const line of linesOf(unpacked)) {
      const text = textOf(line);
      parts[characters < C4_CALIBRATION ? 'calibration' : 'evaluation'].push(JSON.stringify({ text }));
      characters += text.length;
      progress.update({ stage: 'text c4', done: Math.min(characters, total), total });
      if (characters >= total) break;
    }
  } finally {
    unpacked.destroy();
  }
  return parts;
}

/** Lines of UTF-8 text; the last one may lack its end. */
async function* linesOf(pieces: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const piece of pieces) {
    const lines = (rest + decoder.decode(piece, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
  if (rest !== '') yield rest;
}

function textOf(line: string): string {
  try {
    const { text } = JSON.parse(line) as { readonly text?: unknown };
    if (typeof text === 'string') return text;
  } catch {
    // Said below.
  }
  return fail('hub-damaged', `${C4.name}: ${C4_FILE}`, 'A line of the file is no JSON object with a text');
}
