/**
 * What a compiled model will weigh, part by part, before anything is computed: from shapes, the recipe, and what each constant
 * is for. Graphs without weights come on top.
 */
import { FFN_ROLES, lookedUp } from '../analysis/projection.js';
import { graphsOf, nodesOf } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import { SUPER_BLOCK } from '../quant/compress.js';
import { blocksOf } from '../quant/grid.js';
import { allPlaces } from '../quant/layout.js';
import { storedBytes } from '../quant/layout-use.js';
import type { Bits, Recipe } from '../recipe/index.js';
import { planLayout } from '../set/index.js';
import {
  quantizesTables,
  type Source,
  type TableBits,
  type TokenTable,
  tableBits,
  tableBlock,
  tokenTablesOf,
} from '../source/index.js';

/** Bytes by part of a model. A tied head has none of its own. */
export interface Budget {
  readonly ffn: number;
  readonly attention: number;
  readonly embedding: number;
  readonly head: number;
  readonly other: number;
}

type Part = keyof Budget;

/** Smaller float tensors stay as they are. */
const HALVED_FROM = 1024;

/** The constants of a model, each range of bytes once, by part. */
export function constantsOf({ model, analysis }: Source): ReadonlyMap<Tensor, Part> {
  const parts = partsOf(analysis);
  const found = new Map<object, Tensor>();
  const add = (tensor: Tensor): unknown => found.set(tensor.storage, tensor);
  for (const graph of graphsOf(model.graph))
    for (const { initializer } of graph.initializers) if (initializer !== undefined) add(initializer);
  for (const node of nodesOf(model.graph))
    for (const attribute of node.attributes.values()) if (attribute.kind === 'tensor') add(attribute.value);
  return new Map([...found].map(([storage, tensor]) => [tensor, parts.get(storage) ?? 'other']));
}

/** Parts by the storage of what is known. */
function partsOf(analysis: Source['analysis']): ReadonlyMap<object, Part> {
  const known = analysis.projections.map(({ role, weight }) => [weight.tensor.storage, partOf(role)] as const);
  return new Map([...known, ...lookedUp(analysis).map(({ weight }) => [weight.tensor.storage, 'embedding'] as const)]);
}

function partOf(role: string): Part {
  if (role === 'head') return 'head';
  if (role === 'embedding' || role === 'tied') return 'embedding';
  const ffn: ReadonlySet<string> = FFN_ROLES;
  return ffn.has(role) ? 'ffn' : 'attention';
}

/** Bytes of the model as it is. */
export function floatBudget(source: Source): Budget {
  const sum = emptyBudget();
  for (const [tensor, part] of constantsOf(source)) sum[part] += tensor.byteLength;
  return sum;
}

/** Bytes of the model of `bits` that the recipe makes. `source` was opened with the recipe. */
export function compiledBudget(source: Source, recipe: Recipe, bits: Bits): Budget {
  const sum = emptyBudget();
  const layout = planLayout(source, recipe);
  for (const place of allPlaces(layout)) sum[partOf(place.role)] += storedBytes(layout, place, bits, false);
  const width = tableBits(recipe);
  const tables = width === undefined ? [] : tokenTablesOf(source.analysis);
  for (const table of tables) sum[table.part] += tableBytes(table, width as TableBits, recipe);
  const replaced = replacedBy(source, recipe);
  for (const [tensor, part] of constantsOf(source)) {
    if (!replaced.has(tensor.storage)) sum[part] += tensor.byteLength / (isHalved(tensor, part, recipe) ? 2 : 1);
  }
  return sum;
}

/** Storage of the tensors that are gone in the end. */
function replacedBy({ analysis, chosen }: Source, recipe: Recipe): ReadonlySet<object> {
  const isQuantized = quantizesTables(recipe);
  const sharesHead = recipe.shareTiedHead && analysis.embedding?.head === 'copy';
  const heads = analysis.projections.filter(({ role }) => role === 'head' && (isQuantized || sharesHead));
  const embeddings = isQuantized ? lookedUp(analysis) : [];
  const readers = [...chosen.map(({ projection }) => projection), ...heads, ...embeddings];
  return new Set(readers.map(({ weight }) => weight.tensor.storage));
}

export function totalOf(budget: Budget): number {
  return Object.values(budget).reduce((sum: number, bytes: number) => sum + bytes, 0);
}

const emptyBudget = (): Record<Part, number> => ({ ffn: 0, attention: 0, embedding: 0, head: 0, other: 0 });

/** Nearly every float32 tensor can be stored as float16; the few that cannot are small. */
function isHalved({ dtype, byteLength, shape }: Tensor, part: Part, recipe: Recipe): boolean {
  if (dtype !== 'float32' || byteLength < HALVED_FROM || shape.length === 0) return false;
  return (
    recipe.floatStorage === 'float16' || (recipe.embeddingBits === 16 && (part === 'embedding' || part === 'head'))
  );
}

/** Codes and scales of a quantized table. */
function tableBytes(table: TokenTable, bits: TableBits, { embeddingBlock, tables }: Recipe): number {
  const { rows, cols } = table;
  const blocks = blocksOf(cols, tableBlock(table, embeddingBlock));
  const isCoded = bits < 8 && tables === 'c8' && (rows * blocks.count) % SUPER_BLOCK === 0;
  const entries = rows * blocks.count;
  return (entries * blocks.block * bits) / 8 + (isCoded ? entries + (2 * entries) / SUPER_BLOCK : 2 * entries);
}
