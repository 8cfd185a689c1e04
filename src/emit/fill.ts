/** Fills a template: every placeholder gets the expansion of its projection, made once however many sites share it. */
import { int } from '../onnx/ir/attribute.js';
import type { Value } from '../onnx/ir/graph.js';
import type { Rewriter } from '../onnx/rewrite/rewriter.js';
import { type ProjectionPlace, placeBlocks, type SetLayout, siteOf } from '../quant/layout.js';
import type { BitsOf } from '../quant/layout-use.js';
import type { ContainerBits } from '../quant/precision.js';
import { Emitter, outermost } from './emitter.js';
import { Expander, type Expansion, type Multiply, type ProductType, productType } from './expand.js';
import type { JoinStep, RangeTensor } from './join.js';
import { expandLookup, type PackedRows } from './lookup.js';
import { type Placeholder, placeholdersOf } from './sites.js';
import type { At, TableValues } from './tables.js';

/** What passes that fill a template are given. */
export interface Filling {
  readonly layout: SetLayout;
  readonly tensor: RangeTensor;
  /** A precision of the set for each projection, raised to the projection's own lowest. */
  readonly bitsOf: BitsOf;
  /** MatMulNBits `accuracy_level`: 4 computes with int8 activations, 0 in float. */
  readonly accuracyLevel: 0 | 4;
  /** Placeholders of other places stay; by default each must have a place. */
  readonly isPartial?: boolean;
  /** How planes are looked up; by default what suits the size of the model. */
  readonly step?: JoinStep;
}

/** Makes what a placeholder needs; constants go before `at.anchor`, which stands in the main graph. */
export interface Filler {
  /** See `Filling`. */
  readonly isPartial?: boolean | undefined;
  table(emitter: Emitter, at: At): TableValues;
  product(emitter: Emitter, at: At, table: TableValues): Multiply;
  /** The codes of a token table, row by row. */
  rows(place: ProjectionPlace): readonly PackedRows[];
}

/**
 * Fills every placeholder of these places. Places that have several share what is made for them. Fails where a placeholder has no
 * place, unless the filling is partial.
 */
export function fillTemplate(rw: Rewriter, places: readonly ProjectionPlace[], filler: Filler): void {
  const emitter = new Emitter(rw);
  const expander = new Expander(emitter);
  const placesAt = bySite(places);
  const tables = new Map<ProjectionPlace, TableValues>();
  const products = new Map<ProjectionPlace, Multiply>();
  const sites = placeholdersOf(rw.model);
  const typesAt = scaleTypes(sites);
  const tableOf = (at: At): TableValues => {
    const known = tables.get(at.place);
    if (known !== undefined) return known;
    const table = withScales(filler.table(emitter, at), typesAt.get(siteOf(at.place)) ?? new Set());
    tables.set(at.place, table);
    return table;
  };
  const expansionOf = (at: At): Expansion => {
    const table = tableOf(at);
    const multiply = products.get(at.place) ?? filler.product(emitter, at, table);
    products.set(at.place, multiply);
    return { place: at.place, table, multiply };
  };

  for (const site of sites) {
    const own = placesAt.get(site.id);
    if (own === undefined) {
      if (filler.isPartial) continue;
      throw new Error(`the layout has no projection ${site.id}`);
    }
    const parts = own.map((place, index): At => {
      const name = own.length === 1 ? site.node.name : `${site.node.name}/${index}`;
      return { anchor: outermost(site.node), place, name };
    });
    if (site.kind === 'product') expander.expand(site, parts.map(expansionOf));
    else
      expandLookup(
        emitter,
        site,
        parts.map((at) => ({ ...at, table: tableOf(at), rows: filler.rows(at.place) })),
      );
  }
}

/** The element types in which the sites of each id read scales. */
function scaleTypes(sites: readonly Placeholder[]): ReadonlyMap<string, ReadonlySet<ProductType>> {
  const found = new Map<string, Set<ProductType>>();
  for (const site of sites) {
    const types = found.get(site.id) ?? new Set();
    found.set(site.id, types.add(site.kind === 'product' ? productType(site) : 'float32'));
  }
  return found;
}

/**
 * A table whose scales are made once for each type. Where sites read several types, all are made with the table: the node that the first
 * site stands for, before which they go, is replaced when others ask.
 */
function withScales(table: TableValues, types: ReadonlySet<ProductType>): TableValues {
  const scales = new Map<ProductType, Value>();
  const scale = (dtype: ProductType): Value => {
    const known = scales.get(dtype) ?? table.scale(dtype);
    scales.set(dtype, known);
    return known;
  };
  if (types.size > 1) for (const dtype of types) scale(dtype);
  return { ...table, scale };
}

/** Places by the id of their placeholders, in order. */
function bySite(places: readonly ProjectionPlace[]): ReadonlyMap<string, readonly ProjectionPlace[]> {
  const found = new Map<string, ProjectionPlace[]>();
  for (const place of places) {
    const parts = found.get(siteOf(place));
    if (parts === undefined) found.set(siteOf(place), [place]);
    else parts.push(place);
  }
  return found;
}

/**
 * MatMulNBits over codes in a container, domain `com.microsoft` version 1.
 *
 * ONNX Runtime packs constant codes when a session is made, for int8 activations together with the scales it finds then. Scales
 * that nodes compute are constant only once the graph has been optimized, so with optimizations off the codes must not be
 * constant either: they pass through an Identity, which the lowest level of optimization removes without a copy.
 */
export function matMulNBits(
  emitter: Emitter,
  { anchor, place, name }: At,
  codes: Value,
  table: TableValues,
  container: ContainerBits,
  accuracyLevel: 0 | 4,
): Multiply {
  const { block } = placeBlocks(place);
  const attributes = {
    K: int(place.k),
    N: int(place.n),
    bits: int(container),
    block_size: int(block),
    accuracy_level: int(accuracyLevel),
  };
  let held: Value | undefined;
  const hold = (): Value =>
    emitter.add(anchor, place.id, { op: 'Identity', inputs: [codes], name: `${name}/codes/Identity` });
  return (site, input, dtype) => {
    const scale = table.scale(dtype);
    const zero = table.zero === undefined ? [] : [table.zero];
    const isComputed = [scale, ...zero].some(({ initializer }) => initializer === undefined);
    if (isComputed && codes.initializer !== undefined) held ??= hold();
    const inputs = [input, (isComputed && held) || codes, scale, ...zero];
    return { op: 'MatMulNBits', domain: 'com.microsoft', inputs, attributes, name: `${site.node.name}_Q${container}` };
  };
}
