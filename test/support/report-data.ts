/** Data of a report with everything in it: 18 layers, a mix, refusals with awkward names, two texts. */
import { entropyBits, meanLevel, sliceHistogram } from '../../src/quant/histogram.js';
import type { CompiledProjection, ReportData, ReportModel, Score } from '../../src/report/page/data.js';

const BITS = [2, 3, 4, 6, 8] as const;
const LAYERS = Array.from({ length: 18 }, (_, layer) => layer);
const ROLES = ['gate', 'up', 'down'] as const;
const ids = LAYERS.flatMap((layer) => ROLES.map((role) => ({ id: `layers.${layer}.${role}`, layer, role })));

/** A bell to the right of the middle. */
const bell = Array.from({ length: 256 }, (_, code) => Math.round(1e4 * Math.exp(-(((code - 140) / 45) ** 2))));

const compiledProjections = ids.map(
  ({ id, layer, role }): CompiledProjection => ({
    id,
    layer,
    role,
    k: 640,
    n: 2048,
    error: Object.fromEntries(
      BITS.map((bits) => {
        const before = (1 + layer / 4) * 4 ** -bits;
        return [`int${bits}`, { before, after: before / 2 }];
      }),
    ),
    damping: 0.01,
    codes: bell,
  }),
);

function modelOf(name: string, bits: ReportModel['bits'], averageBits: number): ReportModel {
  const restBytes = 335e6;
  return {
    name,
    file: `tiny_${name}.onnx`,
    averageBits,
    storedBitsPerWeight: averageBits + 0.25,
    graphBytes: 1.5e6,
    dataBytes: restBytes + averageBits * 9e6,
    restBytes,
    layers: LAYERS.map((layer) => ({ layer, bits: typeof bits === 'number' ? bits : averageBits })),
    bits,
  };
}

const mixBits = Object.fromEntries(ids.map(({ id, layer, role }) => [id, role === 'down' || layer < 3 ? 4 : 2]));
const models = [...BITS.map((bits) => modelOf(`int${bits}`, bits, bits)), modelOf('mix', mixBits, 2.8)].sort(
  (a, b) => a.averageBits - b.averageBits,
);

const scoreOf = ({ name, averageBits, graphBytes, dataBytes }: ReportModel): Score => ({
  name,
  bytes: graphBytes + dataBytes,
  kl: 8 * 4 ** -averageBits,
  klStandardError: 0.05 * 4 ** -averageBits,
  top1: 1 - 4 ** -averageBits,
  nll: 3 + 9 * 4 ** -averageBits,
  deltaNll: 9 * 4 ** -averageBits - 0.0003,
  deltaNllStandardError: 0.002,
  tokensPerSecond: 100 / averageBits,
});

const parent = Float64Array.from(bell);

export const REPORT: ReportData = {
  format: 'matquant-report',
  version: 1,
  name: 'tiny <script>alert("x")</script> & more',
  source: 'tiny.onnx',
  set: 'ab'.repeat(32),
  dataFile: 'tiny.01234567.data',
  recipe: { bits: [8, 6, 4, 3, 2], method: 'best', scope: 'ffn' },
  models,
  projections: ids.map((each) => ({ ...each, k: 640, n: 2048, block: 128, chain: BITS })),
  rest: { tensors: 130, bytes: 335e6 },
  compiled: {
    sourceBytes: 1.07e9,
    calibrationTokens: 32768,
    refused: [
      ...LAYERS.map((layer) => ({ at: `layers.${layer}.q`, code: 'out-of-scope', reason: 'outside the scope' })),
      { at: 'head"><img src=x>', code: 'tied-head', reason: 'shares its weight & more' },
    ],
    projections: compiledProjections,
    distill: [2, 3].map((bits) => ({
      bits,
      steps: 100,
      tokens: 51200,
      kept: { before: 1.1, after: 0.7 },
      looks: [0, 25, 50, 75, 100].map((step) => ({
        step,
        ...(step > 0 && { loss: 1.2 - step / 300 }),
        kept: 1.1 - step / 250,
      })),
    })),
    training: LAYERS.map((layer) => ({
      layer,
      segment: layer,
      bits: 2,
      losses: Array.from({ length: 100 }, (_, step) => 0.1 / (1 + step / 40 + layer)),
      start: 0.1,
      end: 0.03,
      retries: 0,
      fallback: layer === 3 ? ['layers.3.up'] : [],
    })),
    tables: [
      {
        name: 'embedding',
        tied: true,
        bits: 4,
        block: 32,
        rows: 262144,
        cols: 640,
        bytes: 94e6,
        error: { before: 0.01, after: 0.008 },
      },
    ],
  },
  evaluations: [
    { name: 'probe', probe: 'text', positions: 126, scores: models.slice(0, 3).map(scoreOf) },
    ...['c4', 'wikitext'].map((name) => ({
      name,
      positions: 8176,
      reference: { name: 'tiny.onnx', nll: 3, bytes: 1.07e9, tokensPerSecond: 30 },
      scores: models.map(scoreOf),
    })),
  ],
  tasks: [
    {
      name: 'c4',
      rows: ['tiny.onnx', 'int4'].map((model) => ({
        task: 'arc_easy',
        model,
        items: 2376,
        accuracy: 0.412,
        accuracyStandardError: 0.0101,
        normalizedAccuracy: 0.38,
        normalizedAccuracyStandardError: 0.01,
        agreement: model === 'int4' ? 0.93 : 1,
      })),
    },
  ],
  sweeps: [
    {
      name: 'tiny',
      per: 'layer',
      reference: 'tiny.onnx',
      positions: 4088,
      points: (['uniform', 'shape', 'search'] as const).flatMap((kind, at) =>
        [2, 3, 4].map((bits) => ({
          name: kind === 'uniform' ? `int${bits}` : `${kind} ${bits}`,
          kind,
          averageBits: bits,
          storedBitsPerWeight: bits + 0.14,
          bytes: 335e6 + bits * 9e6,
          kl: 8 * 4 ** -bits * ([1.1, 2, 1][at] ?? 1),
          klStandardError: 0.01,
          deltaNll: 7 * 4 ** -bits,
          evaluations: 40 * at,
          seconds: 30.4 * at,
        })),
      ),
    },
  ],
  sensitivities: LAYERS.flatMap((layer) =>
    [undefined, ...ROLES].flatMap((role) =>
      BITS.slice(0, 4).map((bits) => ({
        unit: role === undefined ? `layers.${layer}` : `layers.${layer}.${role}`,
        layer,
        ...(role !== undefined && { role }),
        bits,
        kl: (2 + Math.cos(layer)) * 4 ** -bits,
      })),
    ),
  ),
  histograms: BITS.map((bits) => {
    const counts = sliceHistogram(parent, 'prefix', bits);
    return {
      name: `int${bits}`,
      bits,
      counts: Array.from(counts),
      meanLevel: meanLevel(counts),
      entropyBits: entropyBits(counts),
    };
  }),
  run: { seconds: 200, stages: { read: 1, capture: 80, solve: 100, emit: 4, check: 15 }, peakMemoryBytes: 2.4e9 },
  provenance: {
    tool: 'onnx-matquant 0.1.0',
    sourceSha256: 'ab'.repeat(32),
    restSha256: 'cd'.repeat(32),
    sections: BITS.map((bits) => ({ name: `int${bits}`, bytes: 9e6, sha256: `${bits}0`.repeat(32) })),
    facts: {
      calibrationTokens: 32768,
      statistics: 'ef'.repeat(32),
      distilled: [{ bits: 2 }],
      mixes: {
        mix: { goal: { averageBits: 2.8 }, method: 'local', per: 'projection', kl: 0.31, evaluations: 40 },
        gone: { method: 'dp', per: 'layer', estimate: 0.5 },
      },
    },
  },
  notes: ['something that is <missing>.'],
};

/** What is known of a set that was cut from another one. */
export const BARE: ReportData = (() => {
  const { compiled: _, run: __, ...rest } = REPORT;
  return {
    ...rest,
    models: models.filter(({ name }) => name === 'int4'),
    evaluations: [],
    tasks: [],
    sweeps: [],
    sensitivities: [],
    histograms: [],
  };
})();
