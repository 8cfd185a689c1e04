/** Runs a composite action on this machine as a runner would: inputs, expressions, outputs, a cache, and the steps' own shell lines. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';

export type Yaml = string | readonly Yaml[] | { readonly [key: string]: Yaml };

/** The YAML that action.yml is written in: mappings, lists of mappings, and scalars on one line. */
export function parseYaml(text: string): Yaml {
  const lines = text.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('#'));
  const [value, rest] = block(lines, 0);
  if (rest.length > 0) throw new Error(`not understood: ${rest[0]}`);
  return value;
}

const indentOf = (line: string): number => line.length - line.trimStart().length;

function block(lines: readonly string[], indent: number): readonly [Yaml, readonly string[]] {
  return lines[0]?.trimStart().startsWith('- ') ? list(lines, indent) : mapping(lines, indent);
}

function list(lines: readonly string[], indent: number): readonly [Yaml, readonly string[]] {
  const items: Yaml[] = [];
  let rest = lines;
  while (rest[0] !== undefined && indentOf(rest[0]) === indent && rest[0].trimStart().startsWith('- ')) {
    const first = `${' '.repeat(indent + 2)}${rest[0].slice(indent + 2)}`;
    const [item, after] = mapping([first, ...rest.slice(1)], indent + 2);
    items.push(item);
    rest = after;
  }
  return [items, rest];
}

function mapping(lines: readonly string[], indent: number): readonly [Yaml, readonly string[]] {
  const fields: Record<string, Yaml> = {};
  let rest = lines;
  while (rest[0] !== undefined && indentOf(rest[0]) === indent) {
    const [, key, scalar] = /^([\w-]+):(?: (.*))?$/.exec(rest[0].trim()) ?? [];
    if (key === undefined) throw new Error(`not understood: ${rest[0]}`);
    rest = rest.slice(1);
    if (scalar !== undefined) fields[key] = scalar.replace(/^(['"])(.*)\1$/, '$2');
    else [fields[key], rest] = block(rest, indentOf(rest[0] ?? ''));
  }
  return [fields, rest];
}

interface Step {
  readonly id: string;
  readonly if?: string;
  readonly uses?: string;
  readonly shell?: string;
  readonly run?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly with?: Readonly<Record<string, string>>;
}

interface Action {
  readonly inputs: Readonly<Record<string, { readonly required?: string; readonly default?: string }>>;
  readonly outputs: Readonly<Record<string, { readonly value: string }>>;
  readonly runs: { readonly using: string; readonly steps: readonly Step[] };
}

export interface ActionRun {
  readonly code: number;
  /** What the steps printed, both streams. */
  readonly log: string;
  readonly outputs: Readonly<Record<string, string>>;
  /** The text of the step summary. */
  readonly summary: string;
  readonly cacheHit: boolean;
}

/** Runs the action of the folder `action` in the folder `cwd`; `cache` is the folder that stands for the cache service. */
export function runAction(
  action: string,
  cwd: string,
  given: Readonly<Record<string, string>>,
  cache: string,
): ActionRun {
  const spec = parseYaml(readFileSync(join(action, 'action.yml'), 'utf8')) as unknown as Action;
  const unknown = Object.keys(given).find((name) => spec.inputs[name] === undefined);
  if (unknown !== undefined) throw new Error(`the action has no input ${unknown}`);
  const inputs = Object.fromEntries(
    Object.entries(spec.inputs).map(([name, declared]) => [name, given[name] ?? declared.default ?? '']),
  );
  const outputs: Record<string, Record<string, string>> = {};
  const folder = mkdtempSync(join(tmpdir(), 'matquant-test-'));
  const [page, written] = [join(folder, 'summary.md'), join(folder, 'output')];
  writeFileSync(page, '');
  const text = (value: string): string =>
    value.replaceAll(/\$\{\{ (.*?) \}\}/g, (_, expression: string) => {
      const [kind, name = '', , output = ''] = expression.split('.');
      return (kind === 'inputs' ? inputs[name] : outputs[name]?.[output]) ?? '';
    });
  let [code, log, cacheHit] = [0, '', false];
  let save = (): void => {};
  for (const step of spec.runs.steps) {
    if (code !== 0 || !isTrue(step.if, inputs)) continue;
    if (step.uses?.startsWith('actions/cache@')) {
      const [path, key, start] = ['path', 'key', 'restore-keys'].map((name) => text(step.with?.[name] ?? ''));
      cacheHit = restore(cache, path ?? '', key ?? '', start ?? '');
      save = () => cpSync(path ?? '', join(cache, key ?? ''), { recursive: true });
      continue;
    }
    writeFileSync(written, '');
    const env = Object.fromEntries(Object.entries(step.env ?? {}).map(([name, value]) => [name, text(value)]));
    const ran = spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', text(step.run ?? '')], {
      cwd,
      encoding: 'utf8',
      env: {
        PATH: process.env['PATH'],
        HOME: process.env['HOME'],
        GITHUB_ACTIONS: 'true',
        GITHUB_ACTION_PATH: action,
        GITHUB_OUTPUT: written,
        GITHUB_STEP_SUMMARY: page,
        ...env,
      },
    });
    code = ran.status ?? 1;
    log += ran.stdout + ran.stderr;
    outputs[step.id] = Object.fromEntries(
      readFileSync(written, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  }
  if (code === 0) save();
  const results = Object.entries(spec.outputs).map(([name, { value }]) => [name, text(value)]);
  return { code, log, outputs: Object.fromEntries(results), summary: readFileSync(page, 'utf8'), cacheHit };
}

/** `inputs.a == 'b'` and `inputs.a != 'b'`. */
function isTrue(condition: string | undefined, inputs: Readonly<Record<string, string>>): boolean {
  if (condition === undefined) return true;
  const [, name = '', operator, value] = /^\$\{\{ inputs\.([\w-]+) (==|!=) '(.*)' \}\}$/.exec(condition) ?? [];
  if (operator === undefined) throw new Error(`not understood: ${condition}`);
  return (inputs[name] === value) === (operator === '==');
}

/** The newest entry under the key, else one that begins like it. */
function restore(cache: string, path: string, key: string, start: string): boolean {
  mkdirSync(cache, { recursive: true });
  const exact = existsSync(join(cache, key));
  const entry = exact ? key : readdirSync(cache).find((name) => name.startsWith(start));
  if (entry !== undefined) cpSync(join(cache, basename(entry)), path, { recursive: true });
  return exact;
}
