/** Kubernetes Jobs, checked against the published schema. */
import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parseAllDocuments } from 'yaml';
import { fixture } from './paths.js';

export interface KubernetesJob {
  readonly spec: {
    readonly completions?: number;
    readonly template: {
      readonly spec: Readonly<Record<'containers' | 'initContainers', readonly Container[] | undefined>> & {
        readonly volumes: readonly object[];
      };
    };
  };
}

export interface Container {
  readonly args: readonly string[];
  readonly envFrom?: readonly object[];
  readonly resources: Readonly<Record<'requests' | 'limits', Readonly<Record<string, string>>>>;
}

/** The Jobs of a manifest. */
export const jobsOf = (manifest: string): readonly KubernetesJob[] =>
  parseAllDocuments(manifest).map((each) => each.toJS() as KubernetesJob);

/** Tells what is wrong with a Job; null where nothing is. */
export function jobCheck(): (job: unknown) => unknown {
  const schema = JSON.parse(readFileSync(fixture('schemas/kubernetes-job.json'), 'utf8')) as object;
  const check = new Ajv2020({ strict: false, formats: { int32: true, int64: true, 'date-time': true } }).compile(
    schema,
  );
  return (job) => (check(job) ? null : check.errors);
}
