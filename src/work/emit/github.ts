/**
 * A GitHub workflow of a plan. Runners share no folder: a job takes the results of all earlier phases as artifacts, adds its own, and
 * hands these on. The plan, the model and the text are files of the repository, or come from the hub.
 */
import { type JobRequest, MADE_BY, usesHub } from './job-request.js';
import { type Phase, phasesOf, shared, unitList } from './phases.js';
import { commentText, expression, workflowText } from './quote.js';
import { type Yaml, yamlText } from './yaml.js';

type Fields = { readonly [key: string]: Yaml | undefined };

/** Unpacks what other jobs made. Times stay, so that results are not read again to know that they are whole. */
const UNPACK = `mkdir -p "$RUNNER_TEMP/results" "$MATQUANT_PLAN/done" "$MATQUANT_PLAN/work" "$MATQUANT_PLAN/failed"
for archive in "$RUNNER_TEMP"/results/*.tar; do
  if [ -f "$archive" ]; then tar -xf "$archive" -C "$MATQUANT_PLAN"; fi
done
touch "$RUNNER_TEMP/start"
`;

/** Packs what this job made, also where one of its units failed. */
const PACK = `cd "$MATQUANT_PLAN"
find done work failed -type f -newer "$RUNNER_TEMP/start" -print0 |
  tar --create --format=posix --file="$RUNNER_TEMP/$MATQUANT_ARCHIVE.tar" --null --files-from=-
`;

const TEMP = expression('runner.temp');

const MATQUANT = 'npx --yes --package "onnx-matquant@$MATQUANT_VERSION" matquant';

/** The workflow, to be saved below `.github/workflows`. */
export function githubWorkflow(request: JobRequest): string {
  const { plan, path, version } = request;
  const phases = phasesOf(plan.units);
  const jobs = phases.map((phase, at): [string, Yaml] => [`phase-${at + 1}`, phaseJob(request, phase, at)]);
  const header = [
    `${MADE_BY} GitHub workflow of the plan in the folder ${commentText(path)} of the repository.`,
    '# Its plan.json, the model and the text are committed (with LFS where they are large) or named on the hub.',
  ];
  const workflow = {
    name: workflowText(`matquant ${path}`),
    on: { workflow_dispatch: {} },
    permissions: { contents: 'read' },
    env: {
      MATQUANT_PLAN: workflowText(path),
      MATQUANT_VERSION: version,
      HF_TOKEN: usesHub(plan) ? expression('secrets.HF_TOKEN') : undefined,
    },
    jobs: Object.fromEntries([...jobs, ['merge', mergeJob(request, phases.length)]]),
  };
  return `${header.join('\n')}\n${yamlText(workflow)}`;
}

function phaseJob(request: JobRequest, phase: Phase, at: number): Fields {
  const shares = shared(phase, request.workers);
  const archive = `results-${at + 1}-${expression('matrix.worker')}`;
  const run = `${MATQUANT} worker "$MATQUANT_PLAN" --unit "$MATQUANT_UNITS" --retry --threads ${request.threads}`;
  return {
    ...job(at),
    strategy: {
      'fail-fast': false,
      'max-parallel': request.workers,
      matrix: { include: shares.map((units, worker) => ({ worker: worker + 1, units: unitList(units) })) },
    },
    steps: [
      ...start(request),
      { name: 'Run units', shell: 'bash', env: { MATQUANT_UNITS: expression('matrix.units') }, run },
      {
        name: 'Pack results',
        if: expression('always()'),
        shell: 'bash',
        env: { MATQUANT_ARCHIVE: archive },
        run: PACK,
      },
      upload(archive, `${TEMP}/${archive}.tar`, 7),
    ],
  };
}

function mergeJob(request: JobRequest, phases: number): Fields {
  const run = `${MATQUANT} merge "$MATQUANT_PLAN" -o "$RUNNER_TEMP/set" --threads ${request.threads}`;
  return {
    ...job(phases),
    steps: [...start(request), { name: 'Write the set', shell: 'bash', run }, upload('nested-set', `${TEMP}/set`, 30)],
  };
}

const job = (at: number): Fields => ({
  needs: at === 0 ? undefined : Array.from({ length: at }, (_, before) => `phase-${before + 1}`),
  'runs-on': 'ubuntu-latest',
  'timeout-minutes': 360,
});

const start = ({ plan }: JobRequest): readonly Fields[] => [
  { uses: 'actions/checkout@v4', with: { lfs: true } },
  { uses: 'actions/setup-node@v4', with: { 'node-version': '20' } },
  ...(usesHub(plan) ? [cache(plan.model)] : []),
  {
    uses: 'actions/download-artifact@v4',
    with: { pattern: 'results-*', path: `${TEMP}/results`, 'merge-multiple': true },
  },
  { name: 'Unpack results', shell: 'bash', run: UNPACK },
];

/** Downloads of the hub, where the command looks for them. */
const cache = (model: string): Fields => ({
  uses: 'actions/cache@v4',
  with: { path: '~/.cache/huggingface', key: `matquant-${model}` },
});

const upload = (name: string, path: string, days: number): Fields => ({
  uses: 'actions/upload-artifact@v4',
  if: name === 'nested-set' ? undefined : expression('always()'),
  with: { name, path, 'if-no-files-found': 'error', overwrite: true, 'retention-days': days },
});
