/** A dry run: what is in a model, what would be quantized, what not and why, and what each precision would weigh. */
import type { Projection } from '../analysis/projection.js';
import type { RefusalCode } from '../diagnostics.js';
import { elementCount } from '../ir/dtype.js';
import { graphsOf, type Model, nodesOf } from '../ir/graph.js';
import type { Tensor } from '../ir/tensor.js';
import type { Context } from '../log.js';
import { blocksOf } from '../quant/grid.js';
import { type StoredShape, storedBitsPerWeight, storedBytes } from '../quant/stored-bits.js';
import type { Bits, Recipe } from './recipe.js';
import { type Chosen, openSource, type Source } from './source.js';

export interface InspectOptions {
  readonly model: string;
  readonly recipe: Recipe;
}

/** One line of the table: a projection that can be quantized, or a product that is refused. */
export interface InspectedProjection {
  readonly layer: number | null;
  readonly role: string | null;
  readonly id: string;
  readonly node: string;
  readonly k: number | null;
  readonly n: number | null;
  readonly status: 'quantizable' | 'refused';
  readonly code?: RefusalCode;
  readonly reason?: string;
}

/** What one precision takes: the whole download, and bits per quantized weight. */
export interface InspectedSize {
  readonly bytes: number;
  readonly storedBitsPerWeight: number;
}

/** Bytes by part of the model, as it is stored now. */
export interface Budget {
  readonly ffn: number;
  readonly attention: number;
  readonly head: number;
  readonly embedding: number;
  readonly other: number;
  /** Bytes that repeat the embedding, transposed; --share-tied-head stores them once. */
  readonly repeated: number;
}

export interface InspectResult {
  readonly path: string;
  readonly producer: string;
  readonly opset: number;
  readonly layers: number;
  readonly activation: string | null;
  readonly embedding: { readonly vocabulary: number; readonly hidden: number; readonly head: string } | null;
  readonly projections: readonly InspectedProjection[];
  readonly floatBytes: number;
  readonly budget: Budget;
  readonly sizes: Readonly<Record<string, InspectedSize>>;
  readonly peakMemoryBytes: number;
}

/** Memory of the process itself and of the kernels, beside the projection at hand: measured 120 to 160 MB. */
const BASE_MEMORY = 160e6;

export async function inspect(options: InspectOptions, _context: Context): Promise<InspectResult> {
  const source = openSource(options.model, options.recipe);
  const { model, analysis } = source;
  const floatBytes = constantBytes(model);
  return {
    path: options.model,
    producer: `${model.producerName} ${model.producerVersion}`.trim(),
    opset: model.opsets.get('') ?? 0,
    layers: analysis.layers,
    activation: analysis.activation ?? null,
    embedding:
      analysis.embedding === undefined
        ? null
        : {
            vocabulary: analysis.embedding.vocabulary,
            hidden: analysis.embedding.hidden,
            head: analysis.embedding.head,
          },
    projections: rows(source),
    floatBytes,
    budget: budgetOf(source, floatBytes),
    sizes: sizesOf(source.chosen, options.recipe, floatBytes),
    peakMemoryBytes: peakMemory(source.chosen),
  };
}

function rows(source: Source): readonly InspectedProjection[] {
  const taken = source.chosen.map(({ projection }): InspectedProjection => {
    const { layer, role, id, k, n } = projection;
    return { layer, role, id, node: projection.sites[0]?.node.name ?? '', k, n, status: 'quantizable' };
  });
  const left = source.left.map(({ at, code, reason, role, layer, k, n }): InspectedProjection => {
    return {
      layer: layer ?? null,
      role: role ?? null,
      id: at,
      node: at,
      k: k ?? null,
      n: n ?? null,
      status: 'refused',
      code,
      reason,
    };
  });
  return [...taken, ...left];
}

/** Distinct bytes of all constants: tensors that share their storage count once. */
function constantBytes(model: Model): number {
  const seen = new Map<object, number>();
  const add = (tensor: Tensor): unknown => seen.set(tensor.storage, tensor.byteLength);
  for (const graph of graphsOf(model.graph))
    for (const value of graph.initializers) if (value.initializer) add(value.initializer);
  for (const node of nodesOf(model.graph)) {
    for (const attribute of node.attributes.values()) if (attribute.kind === 'tensor') add(attribute.value);
  }
  return [...seen.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function budgetOf(source: Source, total: number): Budget {
  const { projections, embedding } = source.analysis;
  const bytesOf = (roles: readonly string[]): number =>
    projections
      .filter(({ role }) => roles.includes(role))
      .reduce((sum, { weight }) => sum + weight.tensor.byteLength, 0);
  const ffn = bytesOf(['gate', 'up', 'down']);
  const attention = bytesOf(['q', 'k', 'v', 'qkv', 'o']);
  const tied = embedding?.head === 'tied';
  const head = tied ? 0 : bytesOf(['head']);
  const table = embedding?.weight.tensor.byteLength ?? 0;
  const repeated = embedding?.head === 'copy' ? table : 0;
  return {
    ffn,
    attention,
    head,
    embedding: table,
    other: Math.max(0, total - ffn - attention - head - table),
    repeated,
  };
}

/** Size of each model of the set: the float rest, and the planes and tables that this precision reads. */
function sizesOf(chosen: readonly Chosen[], recipe: Recipe, floatBytes: number): Record<string, InspectedSize> {
  const rest = floatBytes - chosen.reduce((sum, { projection }) => sum + projection.weight.tensor.byteLength, 0);
  const entries = [...recipe.bits]
    .sort((a, b) => a - b)
    .map((bits) => {
      const shapes = chosen.map((each) => storedShape(each, bits, recipe));
      const bytes = rest + shapes.reduce((sum, shape) => sum + storedBytes(shape), 0);
      return [`int${bits}`, { bytes: Math.ceil(bytes), storedBitsPerWeight: storedBitsPerWeight(shapes) }] as const;
    });
  return Object.fromEntries(entries);
}

/** What one projection stores in the model of `bits`: at least its floor, at most what the set has. */
function storedShape({ projection, floor }: Chosen, bits: Bits, recipe: Recipe): StoredShape {
  const wanted = Math.max(bits, floor);
  const own = [...recipe.bits].sort((a, b) => a - b).find((each) => each >= wanted) ?? Math.max(...recipe.bits);
  const offset = recipe.decode === 'ab' || recipe.decode === 'mid' || recipe.decode === 'tied';
  return {
    rows: projection.n,
    blocks: blocksOf(projection.k, recipe.block),
    bits: own as Bits,
    form: recipe.tables,
    offset,
  };
}

/** The largest projection in float32 twice, its codes, and a Gram matrix: nothing else grows with the model. */
function peakMemory(chosen: readonly Chosen[]): number {
  const need = ({ k, n }: Projection): number => elementCount([n, k]) * 13 + k * k * 8;
  return BASE_MEMORY + Math.max(0, ...chosen.map(({ projection }) => need(projection)));
}
