/** One product with random codes, as a model, as a set on disk, and as plain arithmetic. */
import { copyFileSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Projection, Site } from '../../src/analysis/projection.js';
import { abstractProjections } from '../../src/emit/sites.js';
import { digestOfWhole } from '../../src/files/range-digests.js';
import { float as floatAttribute } from '../../src/onnx/ir/attribute.js';
import { type Clone, cloneModel } from '../../src/onnx/ir/clone.js';
import type { DType } from '../../src/onnx/ir/dtype.js';
import type { Model, Node } from '../../src/onnx/ir/graph.js';
import { float32ToFloat16 } from '../../src/onnx/ir/half.js';
import { type Tensor, tensorOf } from '../../src/onnx/ir/tensor.js';
import { GraphBuilder } from '../../src/onnx/rewrite/builder.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';
import { compressTable, decompressTable, type TableForm } from '../../src/quant/compress.js';
import { blocksOf } from '../../src/quant/grid.js';
import {
  bytesNeeded,
  effectiveBits,
  type LayoutOptions,
  type ProjectionPlace,
  planSet,
  type SetLayout,
} from '../../src/quant/layout.js';
import type { Precision } from '../../src/quant/precision.js';
import { sliceCodes } from '../../src/quant/slice.js';
import { centre, type DecodeKind, decodeTable, uncentre } from '../../src/quant/tables.js';
import { partsOf } from '../../src/set/parts.js';
import { digestsFor } from '../../src/set/set-digests.js';
import { type GraphOptions, restOf, type SetTemplate, writeSetGraph } from '../../src/set/set-graph.js';
import { dataName, idOf } from '../../src/set/set-identity.js';
import { SET_VERSION, writeManifest } from '../../src/set/set-manifest.js';
import { metadataOf } from '../../src/set/set-output.js';
import { SetWriter, type WrittenSet } from '../../src/set/set-writer.js';
import { type Nested, parentBits } from '../../src/solve/kernel/options.js';
import { noise } from './decoder.js';
import { fitTable } from './fit-tables.js';
import { temporaryFolder } from './paths.js';

export interface ProductSpec {
  readonly k: number;
  readonly n: number;
  readonly dtype?: DType;
  readonly opset?: number;
  readonly alpha?: number;
  /** Declares the rank of X; true by default. */
  readonly ranked?: boolean;
  /** Puts operators without a float16 kernel around the products, as most neighbours of products are. */
  readonly isolated?: boolean;
}

export interface Product {
  readonly model: Model;
  readonly projections: readonly Projection[];
}

/** x [batch, sequence, k] times two weights [k, n], so that the block sums have two readers; outputs y0 and y1. */
export function product({
  k,
  n,
  dtype = 'float32',
  opset = 18,
  alpha = 1,
  ranked = true,
  isolated = false,
}: ProductSpec): Product {
  const b = new GraphBuilder({ opset, irVersion: 8 });
  const x = b.input('x', dtype, ['batch', 'sequence', k]);
  const shape = ['batch', 'sequence', k];
  const one = isolated ? b.constant(floatTensor(dtype, Float32Array.of(1), [1]), 'one') : undefined;
  const around = one && b.op('Mul', [x, one], {}, { types: [{ dtype, shape }] });
  const read = around ?? (ranked ? x : hidden(b, x));
  const projections = ['gate', 'up'].map((role, at): Projection => {
    const weight = floatTensor(dtype, noise(k * n, at + 1), [k, n]);
    const source = b.constant(weight, `weight${at}`);
    const op = alpha === 1 ? 'MatMul' : 'com.microsoft::FusedMatMul';
    const attributes = alpha === 1 ? {} : { alpha: floatAttribute(alpha) };
    const y = b.op(op, [read, source], attributes, { name: `/mlp/${role}` });
    const out = one === undefined ? y : b.op('Mul', [y, one]);
    b.output(out, `y${at}`, { dtype, shape: ['batch', 'sequence', n] });
    const node = y.producer as Node;
    const site: Site = { node, input: read, output: y, alpha, bias: undefined, walk: [], dtype };
    const role2 = role as 'gate' | 'up';
    return {
      id: `layers.0.${role}`,
      layer: 0,
      role: role2,
      k,
      n,
      weight: { source, tensor: weight, layout: 'KN' },
      sites: [site],
      group: 'g',
    };
  });
  return { model: b.model(), projections };
}

/** The same value without a declared type. */
const hidden = (b: GraphBuilder, x: ReturnType<GraphBuilder['input']>): typeof x => b.op('Identity', [x]);

function floatTensor(dtype: DType, values: Float32Array, shape: readonly number[]): Tensor {
  return dtype === 'float16'
    ? tensorOf('float16', shape, float32ToFloat16(values))
    : tensorOf('float32', shape, values);
}

/** Random codes with random grids, and the tables of `decode` fitted to random weights. */
export function randomParts({ k, n, chain }: ProjectionPlace, options: LayoutOptions, seed: number): Nested {
  const blocks = blocksOf(k, options.block);
  const width = parentBits(chain);
  const codes = Uint8Array.from(noise(k * n, seed), (value) => Math.floor((value + 0.5) * 2 ** width));
  const entries = n * blocks.count;
  const scale = Float32Array.from(noise(entries, seed + 1), (value) => 0.01 + value * 0.01);
  const zero = Uint8Array.from(noise(entries, seed + 2), (value) => (options.symmetric ? 128 : 100 + value * 100));
  const grid = { scale, zero };
  const weights = decodeTable(codes, blocks, { scale, offset: scale.map((a, b) => -a * (zero[b] as number)) });
  const parent = codes.map((code) => code << (8 - width));
  const fit = { weights, codes: parent, blocks, grid, slice: 'prefix' } as const;
  const tables = new Map(options.bits.map((bits) => [bits, fitTable({ ...fit, bits }, options.decode)]));
  return { codes, parent: { scale, zero: Float32Array.from(zero) }, tables };
}

/** Ŵ [n, k] of the stored form at one precision, by the definition. */
export function decodedWeights(
  solved: Nested,
  place: ProjectionPlace,
  layout: SetLayout,
  bits: Precision,
): Float32Array {
  const own = effectiveBits(place, bits);
  const blocks = blocksOf(place.k, place.columns === 1 ? 'channel' : place.block);
  const { codes } = partsOf(place, solved, layout);
  return decodeTable(sliceCodes(codes, 'prefix', own), blocks, roundedTable(solved, layout.decode, layout.tables, own));
}

/** The table a reader of the set decodes, from what the solver gave. */
function roundedTable(
  solved: Nested,
  decode: DecodeKind,
  form: TableForm,
  bits: Precision,
): { scale: Float32Array; offset: Float32Array } {
  const { scale, zero } = solved.parent;
  if (decode === 'tied') {
    const alpha = decompressTable(compressTable({ scale, offset: new Float32Array(scale.length) }, form, 'test')).scale;
    const k = 2 ** (8 - bits);
    return { scale: alpha.map((a) => a * k), offset: alpha.map((a, b) => a * ((k - 1) / 2 - (zero[b] as number))) };
  }
  const table = centre(solved.tables.get(bits) as { scale: Float32Array; offset: Float32Array }, bits);
  const offset = decode === 'ab' ? table.offset : new Float32Array(table.offset.length);
  const rounded = uncentre(decompressTable(compressTable({ scale: table.scale, offset }, form, 'test')), bits);
  if (decode !== 'mid') return rounded;
  return { scale: rounded.scale, offset: rounded.scale.map((a) => -a * (2 ** (bits - 1) - 0.5)) };
}

/** X [rows, k] · Ŵᵀ in float64, and the sum of magnitudes that errors are relative to. */
export function multiply(
  x: ArrayLike<number>,
  weights: Float32Array,
  k: number,
  n: number,
): { y: Float64Array; size: number } {
  const rows = x.length / k;
  const y = new Float64Array(rows * n);
  let size = 0;
  for (let row = 0; row < rows; row++) {
    for (let o = 0; o < n; o++) {
      let sum = 0;
      let magnitude = 0;
      for (let i = 0; i < k; i++) {
        const term = (x[row * k + i] as number) * (weights[o * k + i] as number);
        sum += term;
        magnitude += Math.abs(term);
      }
      y[row * n + o] = sum;
      size = Math.max(size, magnitude);
    }
  }
  return { y, size };
}

export interface SetOnDisk {
  readonly plan: SetTemplate & { readonly layout: SetLayout };
  readonly written: WrittenSet;
  readonly solved: ReadonlyMap<string, Nested>;
  readonly dataPath: string;
}

/** Plans and writes a set of the model with random codes into `folder`/model.<id>.data. */
export function writeSet(
  folder: string,
  { model, projections }: Product,
  options: LayoutOptions,
  minBits?: ReadonlyMap<string, number>,
): SetOnDisk {
  const template = cloneModel(model);
  const copies = projections.map((projection) => projectionIn(template, projection));
  abstractProjections(new Rewriter(template.model), copies);
  const rest = restOf(template.model);
  const planned = projections.map((projection) => ({ ...projection, minBits: minBits?.get(projection.id) }));
  const lengths = rest.map((tensor) => tensor.byteLength);
  const plan = { model: template.model, rest, layout: planSet(planned, lengths, options) };
  const staged = join(folder, 'staged');
  const writer = new SetWriter(staged, plan.layout);
  rest.forEach((tensor, index) => writer.writeRest(index, tensor));
  const solved = new Map<string, Nested>();
  plan.layout.projections.forEach((place, at) => {
    const parts = randomParts(place, options, 10 * at + 5);
    solved.set(place.id, parts);
    writer.writeProjection(place.id, partsOf(place, parts, plan.layout));
  });
  const written = writer.finish();
  const dataPath = join(folder, dataName('model', idOf(written)));
  renameSync(staged, dataPath);
  return { plan, written, solved, dataPath };
}

/** The same projection in a copy of its model. */
function projectionIn(clone: Clone, projection: Projection): Projection {
  const value = <V>(map: ReadonlyMap<V, V>, original: V): V => map.get(original) ?? original;
  const siteIn = (site: Site): Site => ({
    ...site,
    node: value(clone.nodes, site.node),
    input: value(clone.values, site.input),
    output: value(clone.values, site.output),
    bias: site.bias && value(clone.values, site.bias),
    walk: site.walk.map((node) => value(clone.nodes, node)),
  });
  return { ...projection, sites: projection.sites.map(siteIn) };
}

/** Writes the graph of one precision beside the data file. */
export function writeGraph(folder: string, set: SetOnDisk, bits: number, options: Partial<GraphOptions> = {}): string {
  const path = join(folder, `model_int${bits}.onnx`);
  const { layout } = set.written;
  writeSetGraph(path, set.plan, {
    layout,
    data: basename(set.dataPath),
    bitsOf: () => bits,
    accuracyLevel: 0,
    record: {
      metadata: metadataOf({ name: `int${bits}`, bits: bits as Precision }),
      data: digestsFor(set.written, bytesNeeded(layout, bits)),
    },
    ...options,
  });
  return path;
}

/** Writes a whole set: data, one graph per precision, manifest. Returns the manifest's path. */
export function writeWholeSet(folder: string, set: SetOnDisk): string {
  const { layout, restSha256, sections } = set.written;
  const graphs = layout.bits.map((bits) => {
    const sha256 = digestOfWhole(writeGraph(folder, set, bits));
    const file = `model_int${bits}.onnx`;
    return { file, name: `int${bits}`, bits, bytesNeeded: bytesNeeded(layout, bits), sha256 };
  });
  const path = join(folder, 'model.json');
  writeManifest(path, {
    format: 'matquant-set',
    version: SET_VERSION,
    tool: 'test',
    source: { name: 'product' },
    recipe: {},
    accuracyLevel: 0,
    id: idOf(set.written),
    data: basename(set.dataPath),
    layout,
    restSha256,
    sections,
    graphs,
    quality: {},
    provenance: {},
  });
  return path;
}

/** A small set on disk, and copies of it for tests to damage. */
export class SmallSet {
  readonly root: string = temporaryFolder();
  readonly whole: string = join(this.root, 'whole');
  /** Bare name of its data file; that of the manifest is model.json. */
  readonly data: string;
  #copies = 0;

  constructor(options: Partial<LayoutOptions> = {}) {
    mkdirSync(this.whole);
    const layout = { bits: [2, 4, 8], block: 32, decode: 'ab', tables: 'c8', ...options } as const;
    const set = writeSet(this.whole, product({ k: 64, n: 24 }), layout);
    writeWholeSet(this.whole, set);
    this.data = basename(set.dataPath);
  }

  /** The folder of a copy. */
  copy(): string {
    const folder = join(this.root, String(this.#copies++));
    mkdirSync(folder);
    for (const name of readdirSync(this.whole)) copyFileSync(join(this.whole, name), join(folder, name));
    return folder;
  }

  close(): void {
    rmSync(this.root, { recursive: true });
  }
}
