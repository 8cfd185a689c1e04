/** A Bash script that submits a plan to Slurm: an array for each phase, and a job that writes the set. */
import { basename } from 'node:path';
import { type JobRequest, limitOf, MADE_BY } from './job-request.js';
import { type Phase, phasesOf, shared, unitList } from './phases.js';
import { commentText, shellWord, slugOf } from './quote.js';

/** Ends the scripts inside the script; no quoted name has a line of its own. */
const END = 'MATQUANT_JOB';

/** The script. Whoever runs it again submits what is left: units that are done are found. */
export function slurmScript(request: JobRequest): string {
  const { folder, plan } = request;
  const phases = phasesOf(plan.units);
  const header = [
    '#!/bin/bash',
    `${MADE_BY} Slurm jobs of the plan in ${commentText(folder)}, ${request.isStored ? 'an object store' : 'a folder'} that all nodes see.`,
    '# Run it with bash where sbatch is. Its arguments are options of sbatch: bash FILE --partition=long --time=8:00:00',
    '# MATQUANT may name the command, if it is not matquant on the PATH of the nodes.',
    'set -euo pipefail',
  ];
  const jobs = phases.map((phase, at) => submission(at, arrayJob(request, phase, at)));
  const last = submission(phases.length, mergeJob(request));
  const said = `echo "Submitted; the set is written by job \${job${phases.length}%%;*}."`;
  return `${[...header, ...jobs, last, said].join('\n')}\n`;
}

/** Submits a job behind the one before it. A job whose dependency failed is removed from the queue. */
function submission(at: number, script: readonly string[]): string {
  const after = at === 0 ? '' : ` --dependency="afterok:\${job${at - 1}%%;*}" --kill-on-invalid-dep=yes`;
  return [`job${at}=$(sbatch --parsable${after} "$@" <<'${END}'`, ...script, END, ')'].join('\n');
}

function arrayJob(request: JobRequest, phase: Phase, at: number): readonly string[] {
  const shares = shared(phase, request.workers);
  const run = ['worker', request.folder].map(shellWord).join(' ');
  return [
    ...head(request, String(at + 1), [`--array=0-${shares.length - 1}`]),
    'units=(',
    ...shares.map((units) => `  ${shellWord(unitList(units))}`),
    ')',
    `exec "\${MATQUANT:-matquant}" ${run} --unit "\${units[$SLURM_ARRAY_TASK_ID]}" --retry --threads ${request.threads}`,
  ];
}

function mergeJob(request: JobRequest): readonly string[] {
  const { folder, threads, isStored } = request;
  const run = ['merge', folder, '-o', `${isStored ? basename(folder) : folder}-set`, '--threads', String(threads)]
    .map(shellWord)
    .join(' ');
  return [...head(request, 'merge', []), `exec "\${MATQUANT:-matquant}" ${run}`];
}

function head(request: JobRequest, part: string, more: readonly string[]): readonly string[] {
  const name = ['matquant', slugOf(basename(request.folder), 40), part].filter(Boolean).join('-');
  const output = more.length === 0 ? 'matquant-%j.log' : 'matquant-%A_%a.log';
  const options = [
    `--job-name=${name}`,
    ...more,
    `--cpus-per-task=${request.threads}`,
    `--mem=${limitOf(request)}M`,
    `--output=${output}`,
    '--requeue',
  ];
  return ['#!/bin/bash', ...options.map((option) => `#SBATCH ${option}`), 'set -euo pipefail'];
}
