/** Writes models out of an open set: one more graph over its data, a cut copy, or a self-contained model. */
import { statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { packProjections } from '../../../passes/pack-projections.js';
import { exportModel } from '../../convert/export.js';
import { cutData } from '../../convert/set-files.js';
import { type OpenSet, type SetGraph, type SetManifest, writeManifest } from '../../convert/set-manifest.js';
import { SetTensors } from '../../convert/set-tensors.js';
import { fail } from '../../diagnostics.js';
import { cloneModel } from '../../ir/clone.js';
import type { Model } from '../../ir/graph.js';
import { type BitsOf, prefixRead } from '../../quant/layout-use.js';
import type { Precision } from '../../quant/precision.js';
import { fitIr } from '../../rewrite/fitting-ir.js';
import type { Filling } from '../../rewrite/projection/fill.js';
import { Rewriter } from '../../rewrite/rewriter.js';
import { requireFoldable } from './foldable.js';
import { packPrefix, type SetReader } from './packed.js';
import { writeSetGraph } from './set-graph.js';
import type { OpenTemplate } from './set-template.js';

export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
}

/** A model to be written. */
export interface Selection {
  /** `int4`, or what a mix is called. */
  readonly name: string;
  readonly bits: SetGraph['bits'];
  readonly bitsOf: BitsOf;
}

/**
 * One more graph. In the set's own folder it reads the set's data file; elsewhere it gets a copy of the data, cut after the
 * last byte it needs, and a manifest of its own, so that the copy can grow again.
 */
export function writeSelection(open: OpenTemplate, selection: Selection, output: string): readonly WrittenFile[] {
  const { set } = open;
  const needed = prefixRead(set.manifest.layout, selection.bitsOf);
  refuseShort(open, needed);
  refuseTarget(open, output, false);
  requireFoldable(set.manifest.layout, selection.bitsOf, opsetOf(open.template));
  const graph: SetGraph = { file: basename(output), name: selection.name, bits: selection.bits, bytesNeeded: needed };
  if (isBeside(set, output)) {
    writeGraph(open, selection, output, set.manifest.data);
    const others = set.manifest.graphs.filter(({ file }) => file !== graph.file);
    writeManifest(set.path, { ...set.manifest, graphs: [...others, graph] });
    return [fileOf(output)];
  }
  const data = `${basename(output)}_data`;
  const dataPath = join(dirname(output), data);
  const manifestPath = join(dirname(output), `${basename(output, '.onnx')}.json`);
  const manifest: SetManifest = {
    ...set.manifest,
    data,
    graphs: [graph],
    quality: qualityOf(set.manifest, selection.name),
  };
  cutData(set, needed, dataPath);
  writeGraph(open, selection, output, data);
  writeManifest(manifestPath, manifest);
  return [fileOf(output), fileOf(dataPath), fileOf(manifestPath)];
}

export const opsetOf = (model: Model): number => model.opsets.get('') ?? 1;

function writeGraph(
  { set, template, rest, layout }: OpenTemplate,
  selection: Selection,
  output: string,
  data: string,
): void {
  const { accuracyLevel } = set.manifest;
  const metadata = metadataOf(selection);
  writeSetGraph(output, { model: template, rest }, { layout, data, bitsOf: selection.bitsOf, accuracyLevel, metadata });
}

/** What a model says of itself: the name of its precision, and of a mix the precision of each projection. */
export function metadataOf({ name, bits }: Selection): Readonly<Record<string, string>> {
  return { 'matquant.precision': name, ...(typeof bits === 'object' && { 'matquant.mix': JSON.stringify(bits) }) };
}

/** Fills the template of a self-contained model. */
export type Fill = (rw: Rewriter, filling: Filling, reader: SetReader) => void;

const fillPrefix: Fill = (rw, filling, reader) => {
  packProjections(rw, filling, (place, bits) => packPrefix(reader, place, bits));
};

/** A self-contained model: graph and data file as the runtime reads them, streamed. By default MatMulNBits over prefixes. */
export function writeStandalone(
  open: OpenTemplate,
  selection: Selection,
  output: string,
  fill: Fill = fillPrefix,
): readonly WrittenFile[] {
  refuseTarget(open, output, true);
  const { set, layout } = open;
  const { model } = cloneModel(open.template);
  const tensors = new SetTensors(set.manifest.data, set.dataPath);
  const reader: SetReader = { layout, tensor: (range, dtype, shape) => tensors.tensor(range, dtype, shape) };
  const rw = new Rewriter(model);
  fill(rw, { ...reader, bitsOf: selection.bitsOf, accuracyLevel: set.manifest.accuracyLevel }, reader);
  for (const [key, text] of Object.entries(metadataOf(selection))) rw.setMetadata(model, key, text);
  fitIr(model);
  try {
    const { data } = exportModel(model, output, { dataFile: `${basename(output)}_data` });
    return [fileOf(output), ...(data === undefined ? [] : [fileOf(data.path)])];
  } finally {
    tensors.close();
  }
}

/** Files of the set itself are not overwritten, except its graphs by graphs of the set. */
function refuseTarget({ set }: OpenTemplate, output: string, standalone: boolean): void {
  if (!isBeside(set, output)) return;
  const name = basename(output);
  const own = [
    set.manifest.data,
    basename(set.path),
    ...(standalone ? set.manifest.graphs.map(({ file }) => file) : []),
  ];
  if (own.includes(name)) fail('output-exists', output, 'This file is part of the set');
}

const isBeside = (set: OpenSet, output: string): boolean => resolve(dirname(output)) === resolve(set.folder);

/** The set must hold the bytes that are asked for. */
export function refuseShort({ set }: OpenTemplate, needed: number): void {
  if (set.dataBytes >= needed) return;
  fail('precision-missing', set.dataPath, `The data file has ${set.dataBytes} bytes, ${needed} are needed`);
}

/** Checks that the set has this precision. */
export function precisionOf({ set }: OpenTemplate, bits: number, at: string): Precision {
  const found = set.manifest.layout.bits.find((each) => each === bits);
  return (
    found ?? fail('precision-missing', at, `The set has int${set.manifest.layout.bits.join(', int')}, not int${bits}`)
  );
}

const qualityOf = ({ quality }: SetManifest, name: string): SetManifest['quality'] =>
  name in quality ? { [name]: quality[name] } : {};

const fileOf = (path: string): WrittenFile => ({ path, bytes: statSync(path).size });
