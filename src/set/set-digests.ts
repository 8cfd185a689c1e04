/** Whether the files of a set belong together: data and graphs against the digests of the manifest. */

import { join } from 'node:path';
import { fail } from '../diagnostics.js';
import { isFile } from '../files/file-state.js';
import { digestOfWhole, digestsOf } from '../files/range-digests.js';
import { type Finding, refuseUnsound } from '../onnx/convert/check-model.js';
import type { DataDigest } from '../onnx/convert/model-record.js';
import type { OpenSet, SetGraph } from './set-manifest.js';
import type { WrittenSet } from './set-writer.js';

interface Part extends DataDigest {
  readonly name: string;
}

/** The rest and the sections of a data file, one behind the other. */
const partsOf = ({ restSha256, sections }: Pick<WrittenSet, 'restSha256' | 'sections'>): readonly Part[] => [
  { name: 'tensors that are not quantized', end: sections[0]?.start ?? 0, sha256: restSha256 },
  ...sections.map(({ bits, end, sha256 }) => ({ name: `int${bits} section`, end, sha256 })),
];

/** Digests of the parts that a model reads which needs the first `needed` bytes: whole sections. */
export function digestsFor(set: Pick<WrittenSet, 'restSha256' | 'sections'>, needed: number): readonly DataDigest[] {
  const parts = partsOf(set);
  const last = parts.findIndex(({ end }) => end >= needed);
  return parts.slice(0, last < 0 ? parts.length : last + 1).map(({ end, sha256 }) => ({ end, sha256 }));
}

/**
 * Digests the first `needed` bytes of a set's data, up to the end of a section. Fails with `damaged` and names the part, or with
 * `precision-missing` when the file ends before.
 */
export function requireData({ manifest, dataPath, dataBytes }: OpenSet, needed: number): void {
  const end = digestsFor(manifest, needed).at(-1)?.end ?? needed;
  if (dataBytes < end)
    fail('precision-missing', dataPath, `The data file has ${dataBytes} bytes, but ${end} are needed`);
  const parts = partsOf(manifest).filter((part) => part.end <= end);
  for (const finding of examineParts(dataPath, parts)) refuseUnsound(finding);
}

function examineParts(dataPath: string, parts: readonly Part[]): readonly Finding[] {
  const found = digestsOf(
    dataPath,
    parts.map(({ end }) => end),
  );
  return parts.map(({ name, sha256 }, at) => ({
    at: dataPath,
    part: name,
    ...(found[at] !== sha256 && { problem: 'of the data file does not have the digest of the manifest' }),
  }));
}

/** Fails with `damaged` unless a graph of the set is the one that the manifest lists. */
export function requireGraph(set: OpenSet, graph: SetGraph): void {
  refuseUnsound(examineGraph(set, graph));
}

function examineGraph({ folder, path }: OpenSet, { file, name, sha256 }: SetGraph): Finding {
  const at = join(folder, file);
  const part = `graph of ${name}`;
  if (!isFile(at)) return { at, part, problem: 'is not there' };
  if (digestOfWhole(at) === sha256) return { at, part };
  return { at, part, problem: `does not have the digest of ${path}; it is damaged, or of another set` };
}

/** Everything that a set has: graphs, whole sections, and whether each graph has the bytes it needs. `missing` reports absent graphs too. */
export function examineSet(set: OpenSet, missing = true): readonly Finding[] {
  const { manifest, dataPath, dataBytes, folder } = set;
  const { graphs, layout } = manifest;
  const here = partsOf(manifest).filter(({ end }) => end <= dataBytes);
  const present = graphs.filter(({ file }) => missing || isFile(join(folder, file)));
  const short = present.filter(({ bytesNeeded }) => missing && bytesNeeded > dataBytes);
  return [
    { at: set.path, part: 'manifest' },
    ...present.map((graph) => examineGraph(set, graph)),
    ...examineParts(dataPath, here),
    ...short.map(({ name, bytesNeeded }) => ({
      at: dataPath,
      part: 'data file',
      problem: `has ${dataBytes} bytes, ${name} needs ${bytesNeeded}`,
    })),
    ...(dataBytes > layout.byteLength
      ? [{ at: dataPath, part: 'data file', problem: `is longer than the ${layout.byteLength} bytes of the set` }]
      : []),
  ];
}
