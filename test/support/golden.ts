/** Golden files: note, `===`, graph text, `@@@`, expected text, and optionally `@@@`, options as JSON. One file is one case. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PASSES } from '../../passes/index.js';
import { printModel } from '../../src/onnx/ir/print.js';
import type { Pass, PassDescription } from '../../src/onnx/rewrite/define-pass.js';
import { runPasses, step } from '../../src/onnx/rewrite/run-passes.js';
import { parseModel } from './graph-text.js';
import { fixture } from './paths.js';

export interface GoldenCase {
  readonly path: string;
  /** `pass/case`. */
  readonly title: string;
  readonly pass: PassDescription;
  readonly note: string;
  readonly input: string;
  readonly expected: string;
  readonly options: unknown;
}

/** Every golden file, in order of its name. */
export function goldenCases(): readonly GoldenCase[] {
  const root = fixture('golden');
  return readdirSync(root)
    .sort()
    .flatMap((name) =>
      readdirSync(join(root, name))
        .sort()
        .map((file) => readCase(root, name, file)),
    );
}

function readCase(root: string, name: string, file: string): GoldenCase {
  const path = join(root, name, file);
  const pass = PASSES.find((each) => each.name === name);
  if (pass === undefined) throw new Error(`${path} belongs to no pass`);
  const text = readFileSync(path, 'utf8');
  const [note = '', body] = text.split(/^===\n/m);
  if (body === undefined) throw new Error(`${path} has no line ===`);
  const [input = '', expected = '', options] = body.split(/^@@@\n/m);
  const title = `${name}/${file.replace(/\.txt$/, '')}`;
  return { path, title, pass, note, input, expected, options: options === undefined ? {} : JSON.parse(options) };
}

/** What the pass makes of the input, applied `times` times. */
export function rewritten({ pass, input, options }: GoldenCase, times = 1): string {
  const model = parseModel(input);
  for (let time = 0; time < times; time++) runPasses(model, [step(pass as Pass<unknown>, options)]);
  return printModel(model);
}

/** The file with another expected text. */
export function renewed(golden: GoldenCase, expected: string): string {
  const options = Object.keys(golden.options as object).length === 0 ? '' : `@@@\n${JSON.stringify(golden.options)}\n`;
  return `${golden.note}===\n${golden.input}@@@\n${expected}${options}`;
}
