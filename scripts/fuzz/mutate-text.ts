/** Mutations of calibration text: plain text, .jsonl documents and files of token ids. */
import type { Random } from '../../src/random.js';
import { type Changed, joined, mutateBytes, pick } from './mutate-bytes.js';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Pieces that tokenizers and readers trip over: no UTF-8, controls, joiners, very long words, marks of order. */
const PIECES: readonly Uint8Array[] = [
  Uint8Array.of(0xff, 0xfe, 0xfd),
  Uint8Array.of(0xc3),
  Uint8Array.of(0xed, 0xa0, 0x80),
  Uint8Array.of(0),
  Uint8Array.of(0xef, 0xbb, 0xbf),
  utf8('\r\n\r\n\r'),
  utf8('\u2028\u2029\u0085'),
  utf8('👩‍👩‍👧‍👦'.repeat(40)),
  utf8('e\u0301'.repeat(200)),
  utf8('a'.repeat(20_000)),
  utf8(' '.repeat(20_000)),
  utf8('\u202eabc\u202c'),
  utf8('<s></s><unk><pad><|endoftext|>'),
  utf8('0123456789'.repeat(500)),
];

const LINES: readonly string[] = [
  '',
  'null',
  '[]',
  '{}',
  '{"text":null}',
  '{"text":5}',
  '{"text":""}',
  '{"text":"\\ud800"}',
  '{"text":["a"]}',
  '[1,2',
  '[1,-1]',
  '[1,1e9]',
  '[1.5,2]',
  '["a"]',
  '[[1]]',
  '[1]',
];

/** A mutated copy: bytes changed, a hard piece put in, a line replaced, or nearly nothing left. */
export function mutateText(text: Uint8Array, random: Random): Changed {
  const draw = random.uniform();
  if (draw < 0.35) return mutateBytes(text, random);
  if (draw < 0.65) {
    const at = random.integer(text.length + 1);
    return { note: 'text:piece', bytes: joined(text.subarray(0, at), pick(PIECES, random), text.subarray(at)) };
  }
  if (draw < 0.75) return { note: 'text:short', bytes: text.slice(0, random.integer(40)) };
  if (draw < 0.8) return { note: 'text:piece alone', bytes: pick(PIECES, random) };
  const lines = new TextDecoder().decode(text).split('\n');
  lines[random.integer(lines.length)] = pick(LINES, random);
  return { note: 'text:line', bytes: utf8(lines.join('\n')) };
}
