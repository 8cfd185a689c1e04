/**
 * Runs cases of one kind in a process of its own: `worker.js ROOT KIND SEED FROM TO UNTIL SCRATCH OUT`. Every case is announced before it
 * runs, so that the parent knows which one hung or took the process down; its files stay in SCRATCH/case until the next one.
 */
import { cpSync, linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createRandom } from '../../src/random.js';
import { leftIn } from '../faults/folders.js';
import { type Ended, KINDS, type Kind, type Prepared } from './kinds.js';
import { caseFolder, type Message } from './messages.js';
import { codeOf, libraryOf } from './target.js';

const [root, kindName, seed, from, to, until, scratch, out] = process.argv.slice(2) as [
  string,
  string,
  string,
  string,
  string,
  string,
  string,
  string,
];
const folder = join(scratch, 'case');
const output = join(scratch, 'output');
const temporary = join(scratch, 'temporary');

const say = (message: Message): void => void process.send?.(message);

/** Where a failure came from, without the paths of this machine. */
function placeOf(error: Error): string {
  const line = error.stack?.split('\n').find((each) => each.includes('dist/')) ?? '';
  return line.replace(/.*dist\//, '').replace(/\)$/, '');
}

async function runCase(prepared: Prepared, index: number): Promise<void> {
  const random = createRandom(Number(seed)).fork(`${kindName}/${index}`);
  const { base, note, files } = prepared.mutate(random);
  for (const each of [folder, output, temporary]) rmSync(each, { recursive: true, force: true });
  for (const each of [folder, output, temporary]) mkdirSync(each, { recursive: true });
  for (const name of Object.keys(prepared.bases[base] ?? {}))
    if (!(name in files)) linkSync(join(scratch, 'base', base, name), join(folder, name));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  say({ type: 'begin', index, note });
  const start = performance.now();
  const result = await prepared.run(folder, output).then(
    (ended): Message => endMessage(index, ended),
    (error: unknown): Message => {
      const code = codeOf(error);
      if (code !== undefined) return { type: 'end', index, how: 'refused', code, detail: leftover() };
      const failure = error instanceof Error ? error : new Error(String(error));
      return {
        type: 'end',
        index,
        how: 'crash',
        detail: `${failure.name}: ${failure.message.slice(0, 200)} @ ${placeOf(failure)}`,
      };
    },
  );
  keep(result);
  say({ ...result, seconds: (performance.now() - start) / 1000 } as Message);
}

const endMessage = (index: number, { wrong, kl, limit }: Ended): Message => ({
  type: 'end',
  index,
  how: wrong === undefined ? 'success' : 'wrong',
  ...(wrong !== undefined && { detail: wrong }),
  ...(kl !== undefined && limit !== undefined && { kl, limit }),
});

/** Failed cases that one process keeps. */
const KEPT = 10;
let kept = 0;

/** Copies the files of a case that did not end right, before the next one takes their place. */
function keep(message: Message): void {
  if (message.type !== 'end' || message.how === 'success' || (message.how === 'refused' && !message.detail)) return;
  if (kept++ < KEPT) cpSync(folder, caseFolder(out, kindName, Number(seed), message.index), { recursive: true });
}

/** What a refused case left behind. */
function leftover(): string {
  const names = [output, temporary].flatMap((each) => leftIn(each));
  return names.length === 0 ? '' : `left behind: ${names.join(', ')}`;
}

process.env['TMPDIR'] = temporary;
mkdirSync(temporary, { recursive: true });
const prepared = await (KINDS[kindName] as Kind)(await libraryOf(root), join(scratch, 'prepared'));
for (const [base, files] of Object.entries(prepared.bases)) {
  mkdirSync(join(scratch, 'base', base), { recursive: true });
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(scratch, 'base', base, name), bytes);
}
say({ type: 'ready' });
let index = Number(from);
while (index < Number(to) && Date.now() < Number(until)) await runCase(prepared, index++);
process.send?.({ type: 'done', next: index } satisfies Message, () => process.exit(0));
