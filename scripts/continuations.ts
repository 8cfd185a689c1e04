/**
 * Greedy continuations of twenty prompts by several models of one tokenizer, unedited, as a Markdown page:
 *   node dist/scripts/continuations.js --tokenizer TOKENIZER.json [--tokens 40] float=MODEL.onnx int4=SET_int4.onnx …
 */
import { parseArgs } from 'node:util';
import { openDecoder } from '../src/runtime/decoder.js';
import { generate } from '../src/runtime/generate.js';
import { ortRuntime } from '../src/runtime/ort.js';
import { bosOf, loadTokenizer } from '../src/text/index.js';

const PROMPTS = [
  'The capital of France is',
  'Water boils at',
  'To bake bread, you need',
  'The president of the company said that',
  'In 1969, the first human',
  'My favorite season is autumn because',
  'The quick brown fox',
  'She opened the old door and',
  'Scientists have discovered that',
  'The best way to learn a language is',
  'Once upon a time there was a king who',
  'The recipe calls for two cups of',
  'When the train arrived at the station,',
  'The main cause of the war was',
  'A computer program is',
  'If you want to sleep better,',
  'The doctor told him that',
  'On the way to the market we',
  'The price of oil',
  'Thank you for your letter. I',
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { tokenizer: { type: 'string' }, tokens: { type: 'string', default: '40' } },
});
if (values.tokenizer === undefined || positionals.length === 0)
  throw new TypeError('--tokenizer FILE and NAME=MODEL are needed');
const tokenizer = loadTokenizer(values.tokenizer);
const bos = bosOf('auto', tokenizer);

/** The continuations of all prompts by one model. */
async function continuationsOf(path: string): Promise<readonly string[]> {
  const decoder = await openDecoder(ortRuntime, path, {});
  try {
    const texts: string[] = [];
    for (const prompt of PROMPTS) {
      const ids = [...(bos === undefined ? [] : [bos]), ...tokenizer.encode(prompt)];
      texts.push(tokenizer.decode((await generate(decoder, ids, Number(values.tokens))).ids));
    }
    return texts;
  } finally {
    await decoder.session.close();
  }
}

const models = positionals.map((each) => {
  const at = each.indexOf('=');
  if (at < 1) throw new TypeError(`${each}: NAME=MODEL is needed`);
  return { name: each.slice(0, at), path: each.slice(at + 1) };
});
const rows: (readonly string[])[] = [];
for (const { path } of models) rows.push(await continuationsOf(path));
const oneLine = (text: string): string => text.replaceAll('\n', ' ⏎ ').replaceAll('|', '\\|').trim();
for (const [at, prompt] of PROMPTS.entries()) {
  process.stdout.write(`**${prompt} …**\n\n`);
  for (const [index, { name }] of models.entries())
    process.stdout.write(`- ${name}: ${oneLine(rows[index]?.[at] ?? '')}\n`);
  process.stdout.write('\n');
}
