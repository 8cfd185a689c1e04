/** Where a set comes from, as an unsigned in-toto statement with the SLSA provenance predicate, version 1. */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { digestOfWhole } from '../files/range-digests.js';
import { staged } from '../files/staging.js';
import { textFiles } from '../text/index.js';
import { TOOL } from '../version.js';
import type { Job } from './open.js';
import { sourceOf } from './seal.js';

/** A file by its digest. */
interface Resource {
  readonly name: string;
  readonly digest: { readonly sha256: string };
}

/** A namespace for names of ours; nothing has to be there. */
const NAMESPACE = 'urn:onnx-matquant';

export interface Made {
  readonly job: Job;
  /** Files of the set. */
  readonly files: readonly { readonly path: string }[];
  readonly startedOn: Date;
  readonly finishedOn: Date;
}

/** Writes the statement: what was made, from which model, text and recipe, by which version. It is to be signed by others. */
export async function writeStatement(path: string, made: Made): Promise<void> {
  const text = `${JSON.stringify(await statementOf(made), undefined, 2)}\n`;
  staged(path, (temporary) => writeFileSync(temporary, text));
}

async function statementOf({ job, files, startedOn, finishedOn }: Made): Promise<object> {
  const { text, statistics = [], recipe, seed, standalone, targetBytes } = job.options;
  const [name = TOOL, version = ''] = TOOL.split(' ');
  const { files: model = [] } = await sourceOf(job);
  const texts = await job.inputs.digests(textFiles(text));
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: files.map(({ path }) => resource({ name: basename(path), sha256: digestOfWhole(path) })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: `${NAMESPACE}/compile/v1`,
        externalParameters: {
          recipe,
          seed,
          standalone,
          ...(targetBytes !== undefined && { targetBytes }),
          ...(statistics.length > 0 && { statistics: statistics.map((folder) => basename(folder)) }),
        },
        internalParameters: { platform: process.platform, arch: process.arch, node: process.version },
        resolvedDependencies: [...model, ...texts.map(({ path, sha256 }) => ({ name: basename(path), sha256 }))].map(
          resource,
        ),
      },
      runDetails: {
        builder: { id: NAMESPACE, version: { [name]: version } },
        metadata: { startedOn: startedOn.toISOString(), finishedOn: finishedOn.toISOString() },
      },
    },
  };
}

const resource = ({ name, sha256 }: { readonly name: string; readonly sha256: string }): Resource => ({
  name,
  digest: { sha256 },
});
