/** Writes every case of bad input into a folder, to be tried by hand: `node dist/scripts/make-hostile.js FOLDER`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { HOSTILE } from '../test/support/hostile.js';

const target = resolve(process.argv[2] ?? 'out/hostile');
const lines = HOSTILE.map(({ name, code, make }) => {
  const folder = join(target, name.replaceAll(/[^a-z0-9]+/gi, '-'), 'case');
  mkdirSync(folder, { recursive: true });
  return `# ${name}: ${code}\nmatquant ${make(folder).map(quoted).join(' ')}`;
});
writeFileSync(join(target, 'commands.txt'), `${lines.join('\n\n')}\n`);
console.log(`${lines.length} cases in ${target}; what to type is in commands.txt`);

function quoted(word: string): string {
  return /^[\w./@:+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
