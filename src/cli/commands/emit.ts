import { defaultOf, describeOption as help } from '../../options/index.js';
import type { EmitResult, JobEngine } from '../../work/index.js';
import { type Command, defineCommand } from '../command.js';
import { overwriteFlag } from '../options.js';
import { given, wholeNumber } from '../values.js';

export const emitCommand: Command = defineCommand({
  usage: 'emit <plan>',
  summary: 'Write the jobs of a plan for Kubernetes, Slurm or GitHub Actions',
  positionals: { plan: { type: 'string', describe: help('emit', 'plan'), required: true } },
  options: {
    for: { type: 'string', describe: help('emit', 'for'), choices: ['k8s', 'slurm', 'github'], required: true },
    out: { type: 'string', alias: 'o', describe: help('emit', 'output') },
    workers: { type: 'string', describe: help('emit', 'workers') },
    threads: { type: 'string', default: defaultOf('emit', 'threads'), describe: help('emit', 'threads') },
    image: { type: 'string', describe: help('emit', 'image') },
    claim: { type: 'string', default: defaultOf('emit', 'claim'), describe: help('emit', 'claim') },
    secret: { type: 'string', default: defaultOf('emit', 'secret'), describe: help('emit', 'secret') },
    ...overwriteFlag,
  },
  examples: [
    ['emit plan --for slurm -o jobs.sh', 'then bash jobs.sh'],
    ['emit plan --for k8s --workers 16 --claim models', 'for kubectl apply -f -'],
    ['emit s3://BUCKET/PLAN --for k8s --secret store', 'pods without a shared volume'],
    ['emit plan --for github -o .github/workflows/quantize.yml', 'in the root of a repository'],
  ],
  async run(values, context) {
    const { emitPlan } = await import('../../work/index.js');
    const result = await emitPlan(
      {
        plan: values.plan,
        for: values.for as JobEngine,
        ...given('workers', values.workers, (text) => wholeNumber('--workers', text)),
        threads: wholeNumber('--threads', values.threads),
        ...given('image', values.image, String),
        claim: values.claim,
        secret: values.secret,
        ...given('output', values.out, String),
        overwrite: values.overwrite,
      },
      context,
    );
    return { data: result, text: render(result) };
  },
});

/** What is done with each file. */
const USE: Readonly<Record<JobEngine, (output: string) => string>> = {
  k8s: (output) => `Start with kubectl apply -f ${output}.`,
  slurm: (output) => `Submit with bash ${output}.`,
  github: (output) => `Commit ${output} with the plan, and start the workflow by hand.`,
};

function render(result: EmitResult): string {
  const { output, phases, workers, text } = result;
  if (output === undefined) return text.trimEnd();
  return `${output}: ${phases} phases, at most ${workers} workers at a time. ${USE[result.for](output)}`;
}
