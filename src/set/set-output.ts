/** Writes models out of an open set: one more graph over its data, a cut copy, or a self-contained model. */
import { rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { packProjections } from '../../passes/pack-projections.js';
import { fail } from '../diagnostics.js';
import type { Filling } from '../emit/fill.js';
import { digestOfWhole } from '../files/range-digests.js';
import { exportModel } from '../onnx/convert/export.js';
import { cloneModel } from '../onnx/ir/clone.js';
import type { Model } from '../onnx/ir/graph.js';
import { fitIr } from '../onnx/rewrite/fitting-ir.js';
import { type PassStep, runPasses, step } from '../onnx/rewrite/run-passes.js';
import { isCutOf } from '../outputs/index.js';
import { type BitsOf, prefixRead } from '../quant/layout-use.js';
import type { Precision } from '../quant/precision.js';
import { TOOL } from '../version.js';
import { requireFoldable } from './foldable.js';
import { oldFiles, removeUnused } from './old-files.js';
import { packPrefix, type SetReader } from './packed.js';
import { digestsFor, requireData } from './set-digests.js';
import { cutData } from './set-files.js';
import { writeSetGraph } from './set-graph.js';
import { type SetGraph, type SetManifest, writeManifest } from './set-manifest.js';
import { isSameFolder, manifestBeside } from './set-outputs.js';
import type { OpenTemplate } from './set-template.js';
import { SetTensors } from './set-tensors.js';

/** A written file and its size in bytes. */
export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
}

/** A file that is there, with its size. */
export const fileOf = (path: string): WrittenFile => ({ path, bytes: statSync(path).size });

/** A model to be written. */
export interface Selection {
  /** `int4`, or what a mix is called. */
  readonly name: string;
  readonly bits: SetGraph['bits'];
  readonly bitsOf: BitsOf;
}

/**
 * One more graph. In the set's own folder it reads the set's data file; elsewhere it gets a copy of the data under the same name,
 * cut behind the last section it needs, and a manifest of its own, so that the copy can grow again.
 */
export function writeSelection(open: OpenTemplate, selection: Selection, output: string): readonly WrittenFile[] {
  const { set } = open;
  const needed = prefixRead(set.manifest.layout, selection.bitsOf);
  requireData(set, needed);
  requireFoldable(set.manifest.layout, selection.bitsOf, opsetOf(open.template));
  const graphOf = (): SetGraph => ({
    file: basename(output),
    name: selection.name,
    bits: selection.bits,
    bytesNeeded: needed,
    sha256: digestOfWhole(output),
  });
  if (isSameFolder(set.path, output)) {
    const { graphs } = set.manifest;
    const others = graphs.filter(({ file }) => file !== basename(output));
    // A manifest without the graph goes before it: whatever the instant, what is listed is what is there.
    if (others.length < graphs.length && others.length > 0)
      writeManifest(set.path, { ...set.manifest, graphs: others });
    writeGraph(open, selection, output, needed);
    writeManifest(set.path, { ...set.manifest, graphs: [...others, graphOf()] });
    return [fileOf(output)];
  }
  const dataPath = join(dirname(output), set.manifest.data);
  const manifestPath = manifestBeside(output);
  const before = oldFiles(dirname(output), manifestPath, [output]);
  cutData(set, digestsFor(set.manifest, needed).at(-1)?.end ?? needed, dataPath);
  writeGraph(open, selection, output, needed);
  const quality = qualityOf(set.manifest, selection.name);
  writeManifest(manifestPath, { ...set.manifest, graphs: [graphOf()], quality });
  removeUnused(before, [dataPath]);
  return [fileOf(output), fileOf(dataPath), fileOf(manifestPath)];
}

export const opsetOf = (model: Model): number => model.opsets.get('') ?? 1;

function writeGraph(
  { set, template, rest, layout }: OpenTemplate,
  selection: Selection,
  output: string,
  needed: number,
): void {
  const { accuracyLevel, data } = set.manifest;
  const { bitsOf } = selection;
  const record = { metadata: metadataOf(selection), data: digestsFor(set.manifest, needed) };
  writeSetGraph(output, { model: template, rest }, { layout, data, bitsOf, accuracyLevel, record });
}

/** What a model says of itself: who wrote it, the name of its precision, and of a mix the precision of each projection. */
export function metadataOf({ name, bits }: Pick<Selection, 'name' | 'bits'>): Readonly<Record<string, string>> {
  return {
    'matquant.tool': TOOL,
    'matquant.precision': name,
    ...(typeof bits === 'object' && { 'matquant.mix': JSON.stringify(bits) }),
  };
}

/** The pass that fills the template of a self-contained model. */
export type Fill = (filling: Filling, reader: SetReader) => PassStep;

const fillPrefix: Fill = (filling, reader) =>
  step(packProjections, {}, { ...filling, pack: (place, bits) => packPrefix(reader, place, bits) });

/** A self-contained model out of a set, in the place of an earlier one. */
export function writeStandalone(
  open: OpenTemplate,
  selection: Selection,
  output: string,
  fill?: Fill,
): readonly WrittenFile[] {
  const { set, layout, template } = open;
  const { accuracyLevel, data } = set.manifest;
  const tensors = new SetTensors(data, set.dataPath);
  const reader = tensors.reader(layout);
  const manifest = manifestBeside(output);
  const before = oldFiles(dirname(output), manifest, [output]);
  try {
    const files = writeModel({ template, reader, accuracyLevel }, selection, output, fill);
    if (isCutOf(manifest, output)) rmSync(manifest, { force: true });
    removeUnused(
      before,
      files.slice(1).map(({ path }) => path),
    );
    return files;
  } finally {
    tensors.close();
  }
}

/** What a self-contained model is made from: a template, and codes and tables of its projections, wherever they are. */
export interface ModelParts {
  readonly template: Model;
  readonly reader: SetReader;
  readonly accuracyLevel: 0 | 4;
}

/** Writes a self-contained model: graph and data file as the runtime reads them, streamed. By default MatMulNBits over prefixes. */
export function writeModel(
  { template, reader, accuracyLevel }: ModelParts,
  selection: Selection,
  output: string,
  fill: Fill = fillPrefix,
): readonly WrittenFile[] {
  const { model } = cloneModel(template);
  // A store's methods are not its own properties, so it is not spread.
  const tensor: SetReader['tensor'] = (range, dtype, shape) => reader.tensor(range, dtype, shape);
  const filling = { layout: reader.layout, tensor, bitsOf: selection.bitsOf, accuracyLevel };
  runPasses(model, [fill(filling, reader)]);
  fitIr(model);
  const record = { metadata: metadataOf(selection), data: 'own' } as const;
  const { data } = exportModel(model, output, { dataFile: `${basename(output)}_data`, record });
  return [fileOf(output), ...(data === undefined ? [] : [fileOf(data.path)])];
}

/** Checks that the set has this precision. */
export function precisionOf({ set }: OpenTemplate, bits: number, at: string): Precision {
  const found = set.manifest.layout.bits.find((each) => each === bits);
  return found ?? fail('no-precision', at, `The set has int${set.manifest.layout.bits.join(', int')}, not int${bits}`);
}

const qualityOf = ({ quality }: SetManifest, name: string): SetManifest['quality'] =>
  name in quality ? { [name]: quality[name] } : {};
