/** An `sbatch` that runs what it is given at once, with the variables that Slurm sets, and writes down how it was called. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandFolder } from './workflow.js';

const SBATCH = `#!/bin/bash
set -euo pipefail
state=$SBATCH_STATE
id=$((100 + $(ls "$state" | wc -l)))
script=$(cat)
printf '%s\\n' "$@" > "$state/$id.arguments"
printf '%s' "$script" > "$state/$id.script"
last=$(sed -n 's/^#SBATCH --array=0-//p' <<<"$script")
export SLURM_JOB_ID=$id SLURM_ARRAY_JOB_ID=$id SLURM_ARRAY_TASK_COUNT=$((\${last:-0} + 1))
for task in $(seq 0 "\${last:-0}"); do
  if [ -n "$last" ]; then export SLURM_ARRAY_TASK_ID=$task; else unset SLURM_ARRAY_TASK_ID; fi
  bash <(printf '%s' "$script") < /dev/null >&2
done
echo "$id;cluster"
`;

/** A job that was submitted. */
export interface Submitted {
  readonly arguments: readonly string[];
  readonly script: string;
}

/** Runs a script beside that `sbatch`. Throws what it printed where it fails. */
export function runSlurm(script: string, args: readonly string[], folder: string): readonly Submitted[] {
  const commands = commandFolder(join(folder, 'bin'));
  writeFileSync(join(commands, 'sbatch'), SBATCH);
  chmodSync(join(commands, 'sbatch'), 0o755);
  const ran = spawnSync('bash', [script, ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: `${commands}:${process.env['PATH']}`, HOME: process.env['HOME'], SBATCH_STATE: stateOf(folder) },
  });
  if (ran.status !== 0) throw new Error(ran.stdout + ran.stderr);
  const ids = readdirSync(stateOf(folder)).filter((name) => name.endsWith('.script'));
  return ids.sort().map((name) => {
    const read = (ending: string): string =>
      readFileSync(join(stateOf(folder), name.replace('.script', ending)), 'utf8');
    return { arguments: read('.arguments').split('\n').slice(0, -1), script: read('.script') };
  });
}

function stateOf(folder: string): string {
  const state = join(folder, 'state');
  mkdirSync(state, { recursive: true });
  return state;
}
