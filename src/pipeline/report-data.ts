/** Puts together what the report says: from the set itself, what `compile` wrote beside it, and saved results. */
import { statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { z } from 'zod';
import type { OpenSet, SetGraph } from '../convert/set-manifest.js';
import { entropyBits, meanLevel, sliceHistogram } from '../quant/histogram.js';
import { effectiveBits, type SetLayout } from '../quant/layout.js';
import { type BitsOf, bitsPerWeight } from '../quant/layout-use.js';
import type {
  CodeHistogram,
  CompiledFacts,
  LayerBits,
  Provenance,
  ReportData,
  ReportEvaluation,
  ReportModel,
  RunFacts,
  Score,
} from '../report/page/data.js';
import { EVAL_SUFFIX, stemOf } from './report-files.js';
import type { SavedEvaluation } from './report-schema.js';

export interface ReportSources {
  readonly set: OpenSet;
  readonly compiled: CompiledFacts | undefined;
  readonly evaluations: readonly { readonly name: string; readonly saved: SavedEvaluation }[];
  readonly run: RunFacts | undefined;
}

export function reportData({ set, compiled, evaluations, run }: ReportSources): ReportData {
  const { manifest } = set;
  const { layout } = manifest;
  const models = manifest.graphs
    .map((graph) => modelOf(set, graph))
    .sort((a, b) => a.averageBits - b.averageBits || (a.name < b.name ? -1 : 1));
  const probe = probeOf(manifest.quality, models);
  return {
    format: 'matquant-report',
    version: 1,
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
    rest: { tensors: layout.rest.length, bytes: restBytes(layout) },
    ...(compiled !== undefined && { compiled }),
    evaluations: [
      ...(probe === undefined ? [] : [probe]),
      ...evaluations.map(({ name, saved }) => evaluationOf(name, saved, models)),
    ],
    histograms: compiled === undefined ? [] : layout.bits.map((bits) => histogramOf(bits, layout, compiled)),
    ...(run !== undefined && { run }),
    provenance: provenanceOf(set),
    notes: notesOf({ set, compiled, evaluations, run }),
  };
}

function modelOf(set: OpenSet, { file, name, bits, bytesNeeded }: SetGraph): ReportModel {
  const { layout } = set.manifest;
  const asked: BitsOf = (id) => (typeof bits === 'number' ? bits : (bits[id] ?? 0));
  const { average, stored } = bitsPerWeight(layout, asked, false);
  return {
    name,
    file,
    averageBits: average,
    storedBitsPerWeight: stored,
    graphBytes: statSync(join(set.folder, file), { throwIfNoEntry: false })?.size ?? 0,
    dataBytes: bytesNeeded,
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

const probed = z.object({ kl: z.number(), top1: z.number(), deltaNll: z.number(), positions: z.number() });

/** The comparison at the end of `compile`; undefined when it was not made. */
function probeOf(
  quality: Readonly<Record<string, unknown>>,
  models: readonly ReportModel[],
): ReportEvaluation | undefined {
  const found = models.flatMap((model) => {
    const parsed = probed.safeParse(quality[model.name]);
    return parsed.success ? [{ model, probe: parsed.data }] : [];
  });
  const [first] = found;
  if (first === undefined) return undefined;
  const scores = found.map(({ model, probe: { kl, top1, deltaNll } }) => ({
    name: model.name,
    bytes: model.graphBytes + model.dataBytes,
    kl,
    top1,
    deltaNll,
  }));
  return { name: 'probe', probe: true, positions: first.probe.positions, scores };
}

function evaluationOf(
  name: string,
  { reference, candidates }: SavedEvaluation,
  models: readonly ReportModel[],
): ReportEvaluation {
  const scores = candidates.map((candidate): Score => {
    const model = models.find(({ file }) => file === basename(candidate.path));
    const { kl, klStandardError, top1, nll, deltaNllStandardError, tokensPerSecond } = candidate;
    return {
      name: model?.name ?? basename(candidate.path),
      bytes: model ? model.graphBytes + model.dataBytes : (candidate.downloadBytes ?? candidate.fileBytes),
      kl,
      klStandardError,
      top1,
      nll,
      deltaNll: candidate.deltaNll ?? nll - reference.nll,
      deltaNllStandardError,
      tokensPerSecond: tokensPerSecond || undefined,
    };
  });
  return {
    name,
    probe: false,
    positions: reference.positions,
    reference: {
      name: basename(reference.path),
      nll: reference.nll,
      bytes: reference.downloadBytes ?? reference.fileBytes,
      tokensPerSecond: reference.tokensPerSecond || undefined,
    },
    scores,
  };
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
function notesOf({ set, compiled, evaluations, run }: ReportSources): readonly string[] {
  const { manifest, folder, dataBytes } = set;
  const stem = stemOf(set);
  const absent = manifest.graphs.filter(
    ({ file }) => !statSync(join(folder, file), { throwIfNoEntry: false })?.isFile(),
  );
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
    run === undefined &&
      `times and memory: save what \`matquant compile … --json\` prints as ${stem}.compile.json in the folder of the set.`,
  ].filter((note) => note !== false);
}

function restBytes({ rest }: SetLayout): number {
  return rest.reduce((sum, { length }) => sum + length, 0);
}
