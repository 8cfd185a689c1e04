/** What a user names, turned into files: the model, its tokenizer, and text that need not be a file. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { temporaryFolder } from '../files/temporary.js';
import type { Context } from '../log.js';
import type { TextAsked, TextOptions } from '../text/index.js';
import { type HubEnvironment, hubEnvironment } from './environment.js';
import { hubName } from './hub.js';
import { isHubText, openHubText, type TextPart } from './hub-text.js';
import { openInput, openPath } from './input.js';
import type { ModelFolder } from './model-folder.js';
import { writeSelfText } from './self-text.js';

/** The part of a verb's options that names a model and text. */
export interface AskedInputs {
  readonly text?: TextAsked | undefined;
  /** The graph, where a folder or repository has several. */
  readonly file?: string | undefined;
  /** The hub, by default as its environment variables say. */
  readonly hub?: HubEnvironment | undefined;
  readonly seed?: number;
  readonly threads?: number;
}

/** What the text is for: which part of a data set, and how much the model writes where it writes itself. */
export interface TextNeed {
  readonly part: TextPart;
  readonly tokens: number;
  readonly window: number;
}

export interface ResolvedInputs {
  readonly folder: ModelFolder;
  /** Files of text with the tokenizer of the model, or of token ids. */
  readonly text?: TextOptions;
  /** Where text comes from, as the manifest says it: `files`, `ids`, `self`, or names of data sets. */
  readonly textSource?: string;
}

/**
 * Does `work` with the files of a model and a text; text that the model wrote for it is removed afterwards. Fails with
 * `tokenizer-missing`, and as `openInput` and downloads do.
 */
export async function withResolved<T>(
  model: string,
  asked: AskedInputs,
  need: TextNeed,
  context: Context,
  work: (inputs: ResolvedInputs) => Promise<T>,
): Promise<T> {
  const hub = asked.hub ?? hubEnvironment();
  // Files of this machine are watched from the moment of the call on, so nothing is waited for without need.
  const folder = hubName(model) === undefined ? openPath(model, asked.file) : await openInput(model, asked, context);
  const { text } = asked;
  if (text === undefined) return work({ folder });
  if ('ids' in text) return work({ folder, text, textSource: 'ids' });
  if (text.files.includes('self')) return withSelfText(folder, text, asked, need, context, work);
  const { tokenizer = folder.tokenizer } = text;
  if (tokenizer === undefined)
    return fail('tokenizer-missing', folder.graph, 'There is no tokenizer.json beside the model');
  const files: string[] = [];
  for (const file of text.files) files.push(isHubText(file) ? await openHubText(file, need.part, hub, context) : file);
  return work({ folder, text: { ...text, tokenizer, files }, textSource: sourceOf(text.files) });
}

/** Names of data sets in their order, and `files` for what is no data set. */
const sourceOf = (files: readonly string[]): string =>
  [...new Set(files.map((file) => (isHubText(file) ? file : 'files')))].join(' + ');

async function withSelfText<T>(
  folder: ModelFolder,
  text: Exclude<TextAsked, { readonly ids: string }>,
  { seed = 0, threads = 1 }: AskedInputs,
  { tokens, window }: TextNeed,
  context: Context,
  work: (inputs: ResolvedInputs) => Promise<T>,
): Promise<T> {
  if (text.files.length > 1) fail('bad-usage', 'text', 'Text that the model writes is not joined with other text');
  const place = temporaryFolder('calibration');
  try {
    const ids = join(place, 'self.jsonl');
    await writeSelfText(ids, { model: folder.graph, bos: text.bos, tokens, window, seed, threads }, context);
    return await work({ folder, text: { ids }, textSource: 'self' });
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}
