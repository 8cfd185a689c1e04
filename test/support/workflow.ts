/** Runs a GitHub workflow on this machine: every job in a checkout of its own, artifacts in a folder, the steps' own shell lines. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parse } from 'yaml';
import { root } from './paths.js';

type Fields = Readonly<Record<string, string>>;

export interface WorkflowStep {
  readonly uses?: string;
  readonly run?: string;
  readonly env?: Fields;
  readonly with?: Readonly<Record<string, string | number | boolean>>;
}

export interface WorkflowJob {
  readonly needs?: readonly string[];
  readonly strategy?: { readonly matrix: { readonly include: readonly Readonly<Record<string, string | number>>[] } };
  readonly steps: readonly WorkflowStep[];
}

export interface Workflow {
  readonly name: string;
  readonly env: Fields;
  readonly jobs: Readonly<Record<string, WorkflowJob>>;
}

export const workflowOf = (text: string): Workflow => parse(text) as Workflow;

/** Writes commands of this build into a folder to be put on the PATH: `matquant`, and an `npx` that runs nothing else. */
export function commandFolder(folder: string): string {
  const main = `exec '${process.execPath}' '${join(root, 'dist/src/cli/main.js')}' "$@"`;
  mkdirSync(folder, { recursive: true });
  for (const [name, script] of [
    ['matquant', main],
    ['npx', `[ "$1" = --yes ] && [ "$2" = --package ] && [ "$4" = matquant ] || exit 9\nshift 4\n${main}`],
  ] as const) {
    writeFileSync(join(folder, name), `#!/bin/bash\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  return folder;
}

/** Runs all jobs. `repository`: the files of a checkout; `folder`: where everything is made. Throws what a failed step printed. */
export function runWorkflow(workflow: Workflow, repository: string, folder: string): { readonly artifacts: string } {
  const artifacts = join(folder, 'artifacts');
  mkdirSync(artifacts, { recursive: true });
  const commands = commandFolder(join(folder, 'bin'));
  const done = new Set<string>();
  for (const [id, job] of Object.entries(workflow.jobs)) {
    if (job.needs?.some((need) => !done.has(need))) throw new Error(`${id} comes before what it needs`);
    const { include } = job.strategy?.matrix ?? { include: [{}] };
    include.forEach((matrix, at) =>
      runJob(workflow, job, matrix, { repository, artifacts, commands, own: join(folder, `${id}-${at}`) }),
    );
    done.add(id);
  }
  return { artifacts };
}

interface Places {
  readonly repository: string;
  readonly artifacts: string;
  readonly commands: string;
  /** The runner's own folder. */
  readonly own: string;
}

function runJob(workflow: Workflow, job: WorkflowJob, matrix: Readonly<Record<string, unknown>>, places: Places): void {
  const { repository, artifacts, commands, own } = places;
  const [cwd, temp] = [join(own, 'checkout'), join(own, 'temp')];
  for (const each of [cwd, temp]) mkdirSync(each, { recursive: true });
  const text = (value: string | number | boolean = ''): string =>
    String(value).replaceAll(/\$\{\{ (.*?) \}\}(?! \}\})/g, (_, expression: string) => {
      if (expression === 'runner.temp') return temp;
      if (expression.startsWith("'")) return expression.slice(1, -1);
      return String(matrix[expression.replace('matrix.', '')] ?? '');
    });
  for (const step of job.steps) {
    const given = (name: string): string => text(step.with?.[name]);
    const action = step.uses?.split('@')[0];
    if (action === 'actions/checkout') cpSync(repository, cwd, { recursive: true });
    if (action === 'actions/download-artifact')
      for (const name of readdirSync(artifacts).filter((each) => each.startsWith(given('pattern').replace('*', ''))))
        cpSync(join(artifacts, name), given('path'), { recursive: true });
    if (action === 'actions/upload-artifact') {
      const path = given('path');
      if (!existsSync(path)) throw new Error(`no file was found with the provided path: ${path}`);
      const target = join(artifacts, given('name'), /\.tar$/.test(path) ? basename(path) : '');
      cpSync(path, target, { recursive: true });
    }
    if (step.run === undefined) continue;
    const env = Object.fromEntries(
      Object.entries({ ...workflow.env, ...step.env }).map(([name, value]) => [name, text(value)]),
    );
    const ran = spawnSync('bash', ['--noprofile', '--norc', '-eo', 'pipefail', '-c', step.run], {
      cwd,
      encoding: 'utf8',
      env: { PATH: `${commands}:${process.env['PATH']}`, HOME: process.env['HOME'], RUNNER_TEMP: temp, ...env },
    });
    if (ran.status !== 0) throw new Error(`${step.run}\n${ran.stdout}${ran.stderr}`);
  }
}
