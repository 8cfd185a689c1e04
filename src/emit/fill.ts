/** Fills a template: every placeholder gets the expansion of its projection, made once however many sites share it. */
import { int } from '../onnx/ir/attribute.js';
import type { Value } from '../onnx/ir/graph.js';
import type { Rewriter } from '../onnx/rewrite/rewriter.js';
import { placeBlocks, type SetLayout } from '../quant/layout.js';
import type { BitsOf } from '../quant/layout-use.js';
import type { ContainerBits } from '../quant/precision.js';
import { Emitter, outermost } from './emitter.js';
import { Expander, type Expansion, type Multiply } from './expand.js';
import type { JoinStep, RangeTensor } from './join.js';
import { placeholdersOf } from './sites.js';
import type { At, TableValues } from './tables.js';

/** What passes that fill a template are given. */
export interface Filling {
  readonly layout: SetLayout;
  readonly tensor: RangeTensor;
  /** A precision of the set for each projection, raised to the projection's own lowest. */
  readonly bitsOf: BitsOf;
  /** MatMulNBits `accuracy_level`: 4 computes with int8 activations, 0 in float. */
  readonly accuracyLevel: 0 | 4;
  /** How planes are looked up; by default what suits the size of the model. */
  readonly step?: JoinStep;
}

/** Makes the expansion of one projection; constants go before `at.anchor`, which stands in the main graph. */
export type MakeExpansion = (emitter: Emitter, at: At) => Expansion;

/** Fills every placeholder whose projection is in the layout. */
export function fillTemplate(rw: Rewriter, layout: SetLayout, make: MakeExpansion): void {
  const emitter = new Emitter(rw);
  const expander = new Expander(emitter);
  const places = new Map(layout.projections.map((place) => [place.id, place]));
  const made = new Map<string, Expansion>();

  for (const site of placeholdersOf(rw.model)) {
    const place = places.get(site.id);
    if (place === undefined) throw new Error(`the layout has no projection ${site.id}`);
    const at: At = { anchor: outermost(site.node), place, name: site.node.name };
    const expansion = made.get(site.id) ?? make(emitter, at);
    made.set(site.id, expansion);
    expander.expand(site, expansion);
  }
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
  const scales = new Map<string, Value>();
  let held: Value | undefined;
  const hold = (): Value =>
    emitter.add(anchor, place.id, { op: 'Identity', inputs: [codes], name: `${name}/codes/Identity` });
  return (site, input, dtype) => {
    const scale = scales.get(dtype) ?? table.scale(dtype);
    scales.set(dtype, scale);
    const zero = table.zero === undefined ? [] : [table.zero];
    const isComputed = [scale, ...zero].some(({ initializer }) => initializer === undefined);
    if (isComputed && codes.initializer !== undefined) held ??= hold();
    const inputs = [input, (isComputed && held) || codes, scale, ...zero];
    return { op: 'MatMulNBits', domain: 'com.microsoft', inputs, attributes, name: `${site.node.name}_Q${container}` };
  };
}
