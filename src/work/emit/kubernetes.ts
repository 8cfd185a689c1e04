/**
 * Kubernetes Jobs: workers of a plan as an Indexed Job, and one that writes the set when everything is done, where the plan is in a folder
 * of a volume.
 */
import { basename } from 'node:path';
import { type JobRequest, limitOf, MADE_BY, mebibytes, usesHub } from './job-request.js';
import { commentText, containerArgument, slugOf } from './quote.js';
import { type Yaml, yamlText } from './yaml.js';

/** Where the claim is mounted. */
const MOUNT = '/data';
/** The user of the image. */
const USER = 1000;

/** The manifest, one or two documents of YAML. Needs Kubernetes 1.29 or newer. */
export function kubernetesManifest(request: JobRequest): string {
  return request.isStored ? storedManifest(request) : sharedManifest(request);
}

/** Workers of a plan on an object store. The set is written by whoever wants it. */
function storedManifest(request: JobRequest): string {
  const { folder, secret } = request;
  const header = [
    `${MADE_BY} Kubernetes Job of the plan at ${commentText(folder)}, for kubectl apply -f.`,
    `# Pods share nothing but this address. The secret ${commentText(secret)} has variables for it, such as AWS_ACCESS_KEY_ID,`,
    '# AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL_S3; it may be missing where the service account has access.',
    '# A pod requests the memory that the plan was made for, and is limited to a tenth more.',
    '# When the Job is complete, matquant merge writes the set on any machine.',
  ];
  return `${header.join('\n')}\n${yamlText(workerJob(request))}`;
}

function sharedManifest(request: JobRequest): string {
  const { folder, claim, workers } = request;
  const header = [
    `${MADE_BY} Kubernetes Jobs of the plan in the folder ${commentText(basename(folder))}, for kubectl apply -f.`,
    `# The volume claim ${commentText(claim)} holds this folder and the files beside it that the plan names, and can be mounted by`,
    `# all ${workers} workers (ReadWriteMany). A pod requests the memory that the plan was made for, and is limited to a tenth more.`,
    `# The set is written beside the plan's folder.`,
  ];
  return `${header.join('\n')}\n${yamlText(workerJob(request))}---\n${yamlText(mergeJob(request))}`;
}

type Fields = { readonly [key: string]: Yaml | undefined };

/** Exit code 2 says that trying again is of no use, 130 that the worker was told to stop. */
const failures = (action: 'FailIndex' | 'FailJob'): Fields => ({
  rules: [
    { action, onExitCodes: { operator: 'In', values: [2] } },
    { action: 'Ignore', onExitCodes: { operator: 'In', values: [130] } },
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget', status: 'True' }] },
  ],
});

function workerJob(request: JobRequest): Fields {
  const { workers } = request;
  const share = ['--unit', `$(JOB_COMPLETION_INDEX)/${workers}`];
  return job(request, 'workers', {
    completionMode: 'Indexed',
    completions: workers,
    parallelism: workers,
    backoffLimitPerIndex: 3,
    podFailurePolicy: failures('FailIndex'),
    template: template(request, { containers: [container(request, 'worker', workerArguments(request, share))] }),
  });
}

/** A worker without a share ends when all units are done, so it waits for the others, and helps. */
function mergeJob(request: JobRequest): Fields {
  const { threads } = request;
  const plan = planIn(request);
  const merge = ['merge', plan, '-o', `${plan}-set`, '--threads', String(threads)].map(containerArgument);
  return job(request, 'merge', {
    backoffLimit: 3,
    podFailurePolicy: failures('FailJob'),
    template: template(request, {
      initContainers: [container(request, 'wait', workerArguments(request, []))],
      containers: [container(request, 'merge', merge)],
    }),
  });
}

const planIn = ({ folder, isStored }: JobRequest): string => (isStored ? folder : `${MOUNT}/${basename(folder)}`);

const workerArguments = (request: JobRequest, share: readonly string[]): readonly string[] => [
  'worker',
  containerArgument(planIn(request)),
  ...share,
  '--retry',
  '--threads',
  String(request.threads),
  ...(request.isStored ? ['--work-dir', MOUNT] : []),
];

const labels = (request: JobRequest): Fields => ({
  'app.kubernetes.io/name': 'onnx-matquant',
  'app.kubernetes.io/instance': nameOf(request),
});

const nameOf = ({ folder }: JobRequest): string => ['matquant', slugOf(basename(folder), 40)].filter(Boolean).join('-');

const job = (request: JobRequest, part: string, spec: Fields): Fields => ({
  apiVersion: 'batch/v1',
  kind: 'Job',
  metadata: { name: `${nameOf(request)}-${part}`, labels: labels(request) },
  spec,
});

const template = (request: JobRequest, containers: Fields): Fields => ({
  metadata: { labels: labels(request) },
  spec: {
    restartPolicy: 'Never',
    terminationGracePeriodSeconds: graceOf(request),
    securityContext: { runAsNonRoot: true, runAsUser: USER, runAsGroup: USER, fsGroup: USER },
    ...containers,
    volumes: [{ name: 'plan', ...volumeOf(request) }],
  },
});

/** The volume of a plan, or room for what a pod downloads. */
const volumeOf = ({ isStored, claim }: JobRequest): Fields =>
  isStored ? { emptyDir: {} } : { persistentVolumeClaim: { claimName: claim } };

/** Seconds in which a worker that is told to stop can finish its unit: twice the longest guess, up to an hour. */
function graceOf({ plan }: JobRequest): number {
  const longest = Math.max(...plan.units.map(({ cost }) => cost.seconds));
  return Math.min(3600, Math.max(30, Math.ceil(2 * longest)));
}

function container(request: JobRequest, name: string, args: readonly string[]): Fields {
  const { image, threads, plan, isStored, secret } = request;
  return {
    name,
    image,
    command: ['matquant'],
    args,
    env: usesHub(plan) ? [{ name: 'HF_HOME', value: `${MOUNT}/.matquant-hub` }] : undefined,
    envFrom: isStored ? [{ secretRef: { name: secret, optional: true } }] : undefined,
    workingDir: MOUNT,
    resources: {
      requests: { cpu: String(threads), memory: `${mebibytes(plan.options.memoryBytes)}Mi` },
      limits: { memory: `${limitOf(request)}Mi` },
    },
    volumeMounts: [{ name: 'plan', mountPath: MOUNT }],
  };
}
