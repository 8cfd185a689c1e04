/** Where a set comes from, as an unsigned in-toto statement with the SLSA provenance predicate, version 1. */
import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { digestOfWhole } from '../files/range-digests.js';
import { staged } from '../files/staging.js';
import { filesOfModel, importModel } from '../onnx/convert/import.js';
import { textFiles } from '../text/index.js';
import { TOOL } from '../version.js';
import type { CompileOptions } from './compile-options.js';

/** A file by its digest. */
interface Resource {
  readonly name: string;
  readonly digest: { readonly sha256: string };
}

/** A namespace for names of ours; nothing has to be there. */
const NAMESPACE = 'https://www.npmjs.com/package/onnx-matquant';

export interface Made {
  readonly options: CompileOptions;
  /** Files of the set. */
  readonly files: readonly { readonly path: string }[];
  readonly startedOn: Date;
  readonly finishedOn: Date;
}

/** Writes the statement: what was made, from which model, text and recipe, by which version. It is to be signed by others. */
export function writeStatement(path: string, made: Made): void {
  const text = `${JSON.stringify(statementOf(made), undefined, 2)}\n`;
  staged(path, (temporary) => writeFileSync(temporary, text));
}

function statementOf({ options, files, startedOn, finishedOn }: Made): object {
  const { model, text, statistics = [], recipe, seed, standalone, targetBytes } = options;
  const [name = TOOL, version = ''] = TOOL.split(' ');
  const sources = [...filesOfModel(importModel(model)), ...textFiles(text)];
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: files.map(({ path }) => resource(path)),
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
        resolvedDependencies: sources.map(resource),
      },
      runDetails: {
        builder: { id: NAMESPACE, version: { [name]: version } },
        metadata: { startedOn: startedOn.toISOString(), finishedOn: finishedOn.toISOString() },
      },
    },
  };
}

const resource = (path: string): Resource => ({ name: basename(path), digest: { sha256: digestOfWhole(path) } });
