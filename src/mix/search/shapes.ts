/**
 * The mixes that MatQuant names ("Mix'n'Match", section 4.3): low, middle and high precision by the place of a layer. Pyramid has
 * the highest in the middle, reverse at both ends, increasing at the output, decreasing at the input.
 */
import type { Precision } from '../../quant/precision.js';

export const SHAPES = ['pyramid', 'reverse', 'increasing', 'decreasing'] as const;
/** Named shapes of MatQuant section 4.3: pyramid, reverse, increasing, decreasing. */
export type Shape = (typeof SHAPES)[number];

export interface ShapeOptions {
  /** Number of layers. */
  readonly layers: number;
  /** Precisions of the set; the paper's 2, 4 and 8 are taken where they are there. */
  readonly bits: readonly Precision[];
  /** Cost of layer `layer` at a precision. */
  readonly cost: (layer: number, bits: Precision) => number;
  readonly budget: number;
}

/** Lowest, middle and highest precision of a set. */
export function shapeBits(bits: readonly Precision[]): readonly [Precision, Precision, Precision] {
  const order = bits.toSorted((a, b) => a - b);
  const [low, high] = [order[0] as Precision, order.at(-1) as Precision];
  const middle = order.includes(4) ? 4 : (order[order.length >> 1] as Precision);
  return [low, middle, high];
}

/**
 * Bits of each layer: of the numbers of low, middle and high layers that come closest to the budget from below, the one with the
 * most even third in the middle (as the paper's figure shows it). Undefined when even the lowest precision costs more.
 */
export function shapeMix(shape: Shape, options: ShapeOptions): readonly Precision[] | undefined {
  const { layers, budget } = options;
  const levels = shapeBits(options.bits);
  const order = layerOrder(shape, layers);
  const found: { bits: readonly Precision[]; cost: number; evenness: number }[] = [];
  for (let low = 0; low <= layers; low++) {
    for (let high = 0; low + high <= layers; high++) {
      const middle = layers - low - high;
      const bits = arranged(order, levels, low, middle);
      const cost = bits.reduce((sum, each, layer) => sum + options.cost(layer, each), 0);
      if (cost <= budget) found.push({ bits, cost, evenness: -Math.abs(middle - layers / 3) });
    }
  }
  const most = Math.max(...found.map(({ cost }) => cost));
  // Layers of unequal size never cost the same: what lies within a hundredth counts as equal.
  const full = found.filter(({ cost }) => cost >= 0.99 * most);
  return full.sort((a, b) => b.evenness - a.evenness || b.cost - a.cost)[0]?.bits;
}

/** Layers from the one with the fewest bits to the one with the most. */
function layerOrder(shape: Shape, layers: number): readonly number[] {
  const all = Array.from({ length: layers }, (_, layer) => layer);
  if (shape === 'increasing') return all;
  if (shape === 'decreasing') return all.reverse();
  const distance = (layer: number): number => Math.abs(layer - (layers - 1) / 2);
  const fromMiddle = all.sort((a, b) => distance(a) - distance(b) || a - b);
  return shape === 'reverse' ? fromMiddle : fromMiddle.reverse();
}

function arranged(
  order: readonly number[],
  [low, middle, high]: readonly [Precision, Precision, Precision],
  lows: number,
  middles: number,
): readonly Precision[] {
  const bits = new Array<Precision>(order.length);
  order.forEach((layer, rank) => {
    bits[layer] = rank < lows ? low : rank < lows + middles ? middle : high;
  });
  return bits;
}
