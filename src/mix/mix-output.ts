/** Writes a mix: one more graph on its set, a compact copy elsewhere, or a self-contained model. */
import { basename } from 'node:path';
import { fail } from '../diagnostics.js';
import { digestOfWhole } from '../files/range-digests.js';
import { stagedFiles } from '../files/staging.js';
import { bitsPerWeight, prefixRead } from '../quant/layout-use.js';
import {
  compact,
  copyCompact,
  fileOf,
  isSameFolder,
  metadataOf,
  type OpenTemplate,
  opsetOf,
  requireData,
  requireFoldable,
  type Selection,
  type WrittenFile,
  writeSelection,
  writeSetGraph,
  writeStandalone,
} from '../set/index.js';
import { dataBytes } from './mix-goal.js';

export interface MixFiles {
  readonly files: readonly WrittenFile[];
  /** What has to be stored for this model: its graph, and the bytes it reads. */
  readonly totalBytes: number;
  /** True for a graph on the set's own data, which its manifest lists. */
  readonly listed: boolean;
  readonly averageBits: number;
  readonly storedBitsPerWeight: number;
}

export function writeMix(open: OpenTemplate, selection: Selection, output: string, standalone: boolean): MixFiles {
  const { average, stored } = bitsPerWeight(open.layout, selection.bitsOf, standalone);
  requireData(open.set, prefixRead(open.layout, selection.bitsOf));
  const files = filesOf(open, selection, output, standalone);
  const written = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const listed = !standalone && isSameFolder(open.set.path, output);
  const totalBytes = listed ? written + dataBytes(open.layout, selection.bitsOf) : written;
  return { files, totalBytes, listed, averageBits: average, storedBitsPerWeight: stored };
}

function filesOf(
  open: OpenTemplate,
  selection: Selection,
  output: string,
  standalone: boolean,
): readonly WrittenFile[] {
  if (standalone) return writeStandalone(open, selection, output);
  return isSameFolder(open.set.path, output)
    ? writeSelection(open, selection, output)
    : writeCompact(open, selection, output);
}

/** Graph and data file with just what the mix reads. */
function writeCompact(open: OpenTemplate, selection: Selection, output: string): readonly WrittenFile[] {
  const { set, template, rest, layout } = open;
  if (!basename(output).endsWith('.onnx')) fail('bad-usage', output, 'A model is a file that ends in .onnx');
  requireFoldable(layout, selection.bitsOf, opsetOf(template));
  const compacted = compact(layout, selection.bitsOf);
  const { bitsOf } = selection;
  const { accuracyLevel } = set.manifest;
  const data = `${output}_data`;
  stagedFiles([data, output], ([dataTemporary, temporary]) => {
    copyCompact(compacted, set.dataPath, dataTemporary as string);
    const sha256 = digestOfWhole(dataTemporary as string);
    const record = { metadata: metadataOf(selection), data: [{ end: compacted.byteLength, sha256 }] };
    const options = { layout: compacted.layout, data: basename(data), bitsOf, accuracyLevel, record };
    writeSetGraph(temporary as string, { model: template, rest }, options);
  });
  return [fileOf(output), fileOf(data)];
}
