/** Jobs of other schedulers for a plan: one text, printed or written. */
import { writeFileSync } from 'node:fs';
import { isAbsolute, relative, resolve } from 'node:path';
import { fail } from '../../diagnostics.js';
import { staged } from '../../files/staging.js';
import { type Context, silentContext } from '../../log.js';
import { checkOptions } from '../../options/index.js';
import { guardOutputs } from '../../outputs/index.js';
import { TOOL } from '../../version.js';
import { requireVersion } from '../made-by.js';
import { planPath } from '../plan-file.js';
import type { Plan } from '../plan-types.js';
import { isStoreAddress, openStore } from '../store/open-store.js';
import { githubWorkflow } from './github.js';
import type { JobRequest } from './job-request.js';
import { kubernetesManifest } from './kubernetes.js';
import { phasesOf } from './phases.js';
import { slurmScript } from './slurm.js';

/** Schedulers that jobs can be written for. */
export type JobEngine = 'k8s' | 'slurm' | 'github';

/** What `emitPlan` takes. */
export interface EmitInput {
  /** Folder of the plan, or `s3://BUCKET/PREFIX`. */
  readonly plan: string;
  readonly for: JobEngine;
  /** Most workers at a time; by default as many as have something to do, and at most 8. */
  readonly workers?: number | undefined;
  /** Processors of each worker; 4 by default. */
  readonly threads?: number | undefined;
  /** Container image with the command, for Kubernetes; by default `onnx-matquant` with the version of this package as its tag. */
  readonly image?: string | undefined;
  /** Volume claim with the plan's folder and the files beside it, for Kubernetes; `matquant` by default. */
  readonly claim?: string | undefined;
  /** Secret with the AWS_* variables of an object store, for Kubernetes; `matquant` by default. */
  readonly secret?: string | undefined;
  /** File to write. */
  readonly output?: string | undefined;
  /** Replace a file that this tool did not write. */
  readonly overwrite?: boolean | undefined;
}

/** Jobs as text. */
export interface EmitResult {
  readonly for: JobEngine;
  /** Workers at a time. */
  readonly workers: number;
  /** Steps in which all units are ready at the same time. */
  readonly phases: number;
  readonly text: string;
  /** The file that was written. */
  readonly output?: string;
}

interface EmitOptions extends Omit<EmitInput, 'threads' | 'claim' | 'secret' | 'output'> {
  readonly threads: number;
  readonly claim: string;
  readonly secret: string;
  readonly output?: string;
}

const ENGINES: Readonly<Record<JobEngine, (request: JobRequest) => string>> = {
  k8s: kubernetesManifest,
  slurm: slurmScript,
  github: githubWorkflow,
};

/** Workers by default, where units can use as many. */
const USUAL_WORKERS = 8;

/**
 * Writes the jobs of a plan for a scheduler: a manifest for Kubernetes, a script for Slurm, a workflow for GitHub. The text depends on the
 * plan, its path and the options alone. Fails with `plan`, `damaged-file` or `plan-version` like a worker does, and with `bad-usage`
 * where a GitHub workflow could not find the plan's files in its repository, and with `store` where an object store cannot be used.
 */
export async function emitPlan(input: EmitInput, { log }: Context = silentContext()): Promise<EmitResult> {
  const options = checkOptions<EmitOptions>('emit', input);
  const { output, threads, claim, secret, overwrite } = options;
  const store = await openStore(options.plan, { log, readOnly: true });
  const { plan, address } = store;
  await store.close();
  requireVersion(plan, address);
  const isStored = isStoreAddress(address);
  const folder = isStored ? address : resolve(address);
  const version = TOOL.split(' ')[1] as string;
  const path = (relative('.', folder).replaceAll('\\', '/') || '.').replace(/^-/, './-');
  if (options.for === 'github') requireInRepository(plan, address, path);
  if (options.for !== 'slurm') sayAbsolute(plan, log);
  const phases = phasesOf(plan.units);
  const { workers = Math.min(USUAL_WORKERS, Math.max(1, ...phases.map(({ length }) => length))) } = options;
  const { image = `onnx-matquant:${version}` } = options;
  if (output !== undefined)
    guardOutputs({ inputs: isStored ? [] : [planPath(address)], files: [{ path: output, kind: 'jobs' }], overwrite });
  const text = ENGINES[options.for]({ plan, folder, isStored, path, workers, threads, image, claim, secret, version });
  if (output !== undefined) staged(output, (temporary) => writeFileSync(temporary, text));
  const result = { for: options.for, workers, phases: phases.length, text };
  return output === undefined ? result : { ...result, output };
}

/** A workflow sees the files of its repository, and results travel below the plan's folder. */
function requireInRepository(plan: Plan, folder: string, path: string): void {
  if (isStoreAddress(folder))
    fail(
      'bad-usage',
      folder,
      'A GitHub workflow hands results on as artifacts: it takes a plan in a folder of its repository',
    );
  if (path.startsWith('..') || isAbsolute(path))
    fail('bad-usage', folder, 'The plan is not below the current folder, which has to be the root of the repository');
  if (plan.work !== 'work')
    fail('bad-usage', folder, `The plan keeps its results in ${plan.work}: make it without \`work\``);
}

/** Files that a plan names by absolute paths have to be there on every machine. */
function sayAbsolute({ options: { model, text, statistics = [] } }: Plan, log: Context['log']): void {
  const texts = text === undefined ? [] : 'ids' in text ? [text.ids] : [...text.files, text.tokenizer ?? ''];
  for (const path of [model, ...texts, ...statistics].filter((each) => isAbsolute(each)))
    log.warn(`${path} is neither beside the plan's folder nor in it, so every worker needs it under this path.`);
}
