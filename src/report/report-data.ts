/** Puts together what the report says: from the set itself, what `compile` wrote beside it, and saved results. */

import { statSync } from 'node:fs';
import { join } from 'node:path';
import { isFile } from '../files/file-state.js';
import { dataBytes, measuredDamage, type SensitivityEntry } from '../mix/index.js';
import { entropyBits, meanLevel, sliceHistogram } from '../quant/histogram.js';
import { effectiveBits, type SetLayout } from '../quant/layout.js';
import { type BitsOf, bitsOfMix, bitsPerWeight, bytesOf } from '../quant/layout-use.js';
import { digestOfSet, type OpenSet, type SetGraph, stemOf } from '../set/index.js';
import type {
  CodeHistogram,
  CompiledFacts,
  LayerBits,
  Provenance,
  ReportData,
  ReportModel,
  RunFacts,
  UnitDamage,
} from './page/data.js';
import { EVAL_SUFFIX, type Named, SWEEP_SUFFIX } from './report-files.js';
import type { SavedEvaluation, SavedSweep } from './report-schema.js';
import { evaluationOf, probeOf, tasksOf } from './report-scores.js';

export interface ReportSources {
  readonly set: OpenSet;
  readonly compiled: CompiledFacts | undefined;
  readonly evaluations: readonly Named<SavedEvaluation>[];
  readonly sweeps: readonly Named<SavedSweep>[];
  readonly sensitivities: readonly SensitivityEntry[];
  readonly run: RunFacts | undefined;
}

export function reportData(sources: ReportSources): ReportData {
  const { set, compiled, evaluations, sweeps, run } = sources;
  const { manifest } = set;
  const { layout } = manifest;
  const models = manifest.graphs
    .map((graph) => modelOf(set, graph))
    .sort((a, b) => a.averageBits - b.averageBits || (a.name < b.name ? -1 : 1));
  const probe = probeOf(manifest.quality, models);
  return {
    format: 'matquant-report',
    version: 1,
    set: digestOfSet(manifest),
    name: stemOf(set),
    source: manifest.source.name,
    dataFile: manifest.data,
    recipe: manifest.recipe as Readonly<Record<string, unknown>>,
    models,
    projections: layout.projections.map(({ id, layer, role, k, n, block, chain }) => ({
      id,
      layer,
      role,
      k,
      n,
      block,
      chain,
    })),
    rest: { tensors: layout.rest.length, bytes: bytesOf(layout.rest) },
    ...(compiled !== undefined && { compiled }),
    evaluations: [
      ...(probe === undefined ? [] : [probe]),
      ...evaluations.flatMap(({ name, saved }) => evaluationOf(name, saved, models) ?? []),
    ],
    tasks: evaluations.flatMap(({ name, saved }) => tasksOf(name, saved, models) ?? []),
    sweeps: sweeps.map(({ name, saved: { per, reference, positions, points } }) => ({
      name,
      per,
      reference,
      positions,
      points,
    })),
    sensitivities: damagesOf(sources),
    histograms: compiled === undefined ? [] : layout.bits.map((bits) => histogramOf(bits, layout, compiled)),
    ...(run !== undefined && { run }),
    provenance: provenanceOf(set),
    notes: notesOf(sources),
  };
}

function modelOf(set: OpenSet, { file, name, bits, bytesNeeded }: SetGraph): ReportModel {
  const { layout } = set.manifest;
  const asked: BitsOf = typeof bits === 'number' ? () => bits : bitsOfMix(layout, bits);
  const { average, stored } = bitsPerWeight(layout, asked, false);
  return {
    name,
    file,
    averageBits: average,
    storedBitsPerWeight: stored,
    graphBytes: statSync(join(set.folder, file), { throwIfNoEntry: false })?.size ?? 0,
    dataBytes: typeof bits === 'number' ? bytesNeeded : dataBytes(layout, asked),
    restBytes: layout.sections[0]?.start ?? 0,
    layers: layerBits(layout, asked),
    bits,
  };
}

/** Averages over the weights of each layer. */
function layerBits(layout: SetLayout, asked: BitsOf): readonly LayerBits[] {
  const sums = new Map<number, { bits: number; weights: number }>();
  for (const place of layout.projections) {
    const weights = place.k * place.n;
    const sum = sums.get(place.layer) ?? { bits: 0, weights: 0 };
    const bits = effectiveBits(place, asked(place.id)) * weights;
    sums.set(place.layer, { bits: sum.bits + bits, weights: sum.weights + weights });
  }
  return [...sums]
    .map(([layer, { bits, weights }]) => ({ layer, bits: bits / weights }))
    .sort((a, b) => a.layer - b.layer);
}

/** What was measured, by layer or projection in the order of the model. */
function damagesOf({ set, sensitivities }: ReportSources): readonly UnitDamage[] {
  const { projections } = set.manifest.layout;
  const places = new Map<string, { layer: number; role?: string }>(
    projections.flatMap(({ id, layer, role }) => [
      [id, { layer, role }] as const,
      [`layers.${layer}`, { layer }] as const,
    ]),
  );
  const order = [...places.keys()];
  return [...measuredDamage(sensitivities)]
    .flatMap(([unit, byBits]) => {
      const place = places.get(unit);
      return place === undefined ? [] : [...byBits].map(([bits, kl]): UnitDamage => ({ unit, ...place, bits, kl }));
    })
    .sort((a, b) => order.indexOf(a.unit) - order.indexOf(b.unit) || a.bits - b.bits);
}

/** The codes of the projections that have this precision, as its graph reads them: leading bits. */
function histogramOf(bits: SetLayout['bits'][number], layout: SetLayout, compiled: CompiledFacts): CodeHistogram {
  const has = new Set(layout.projections.filter(({ chain }) => chain.includes(bits)).map(({ id }) => id));
  const here = compiled.projections.filter(({ id }) => has.has(id));
  const counts = sliceHistogram(summed(here.map(({ codes }) => codes)), 'prefix', bits);
  const isTrained = here.some(({ codesBefore }) => codesBefore !== undefined);
  const before = sliceHistogram(summed(here.map(({ codes, codesBefore }) => codesBefore ?? codes)), 'prefix', bits);
  return {
    name: `int${bits}`,
    bits,
    counts: Array.from(counts),
    meanLevel: meanLevel(counts),
    ...(isTrained && { before: { counts: Array.from(before), meanLevel: meanLevel(before) } }),
    entropyBits: entropyBits(counts),
  };
}

function summed(histograms: readonly (readonly number[])[]): Float64Array {
  const sum = new Float64Array(256);
  for (const each of histograms) each.forEach((count, code) => (sum[code] = (sum[code] ?? 0) + count));
  return sum;
}

function provenanceOf({ manifest }: OpenSet): Provenance {
  const { tool, source, restSha256, sections, provenance } = manifest;
  return {
    tool,
    sourceSha256: source.sha256,
    restSha256,
    sections: sections.map(({ bits, start, end, sha256 }) => ({ name: `int${bits}`, bytes: end - start, sha256 })),
    facts: provenance,
  };
}

/** What is missing and where it would come from. */
function notesOf({ set, compiled, evaluations, sweeps, sensitivities, run }: ReportSources): readonly string[] {
  const { manifest, folder, dataBytes } = set;
  const stem = stemOf(set);
  const absent = manifest.graphs.filter(({ file }) => !isFile(join(folder, file)));
  const short = manifest.graphs.filter(({ bytesNeeded }) => bytesNeeded > dataBytes);
  const measured = compiled?.projections.some(({ error }) => error !== undefined);
  return [
    ...absent.map(({ name, file }) => `the graph of ${name}: ${file} is not in the folder.`),
    ...short.map(
      ({ name }) => `${name} cannot run yet: the data file is cut before its end; \`matquant append\` completes it.`,
    ),
    compiled === undefined &&
      `what was refused, errors per layer and codes: ${stem}.report.json, which \`matquant compile\` writes, is not beside the set.`,
    measured === false && 'errors per layer: the method of the recipe does not measure them.',
    evaluations.length === 0 &&
      `quality on a text of your own: save what \`matquant eval … --json\` prints as NAME${EVAL_SUFFIX} in the folder of the set.`,
    sweeps.length === 0 &&
      sensitivities.length === 0 &&
      `mixes and what each layer costs: \`matquant sweep\` writes ${stem}${SWEEP_SUFFIX} and ${stem}.sensitivity.json into the folder of the set.`,
    run === undefined &&
      `times and memory: save what \`matquant compile … --json\` prints as ${stem}.compile.json in the folder of the set.`,
  ].filter((note) => note !== false);
}
