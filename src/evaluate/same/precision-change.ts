/** Codes and decoded weights of one precision in two sets. */
import { effectiveBits, type ProjectionPlace, tableBlocks } from '../../quant/layout.js';
import { containerBits, type Precision } from '../../quant/precision.js';
import { centredTable, codesAt, type SetReader } from '../../set/index.js';

/** What differs at one precision. */
export interface PrecisionChange {
  readonly bits: Precision;
  /** Weights, and how many of them have another code. */
  readonly weights: number;
  readonly codes: number;
  /** Entries of tables, and how many of them have another scale or offset. */
  readonly entries: number;
  readonly tables: number;
  /** Largest change of a decoded weight, in steps of its code: of the larger scale. */
  readonly largest: number;
  /** Root mean square of these changes over all weights. */
  readonly rms: number;
  /** The projection with the largest change; absent where nothing differs. */
  readonly at?: string;
}

export const NO_CHANGE = (bits: Precision): PrecisionChange => ({
  bits,
  weights: 0,
  codes: 0,
  entries: 0,
  tables: 0,
  largest: 0,
  rms: 0,
});

/** Share of the codes that differ, 0 to 1. */
export const shareOf = ({ codes, weights }: PrecisionChange): number => (weights === 0 ? 0 : codes / weights);

type Pair<Kind> = readonly [Kind, Kind];

/** Adds one projection. */
export function addChange(
  total: PrecisionChange,
  readers: Pair<SetReader>,
  places: Pair<ProjectionPlace>,
): PrecisionChange {
  const [place] = places;
  const bits = effectiveBits(place, total.bits);
  const sides = readers.map((reader, at) => {
    const own = places[at] as ProjectionPlace;
    return { codes: codesAt(reader, own, bits), ...centredTable(reader, own, bits) };
  }) as unknown as Pair<Side>;
  const found = changeOf(sides, place, bits);
  const weights = total.weights + place.n * place.k;
  const isLargest = found.largest > total.largest;
  return {
    bits: total.bits,
    weights,
    codes: total.codes + found.codes,
    entries: total.entries + place.n * place.columns,
    tables: total.tables + found.tables,
    largest: Math.max(total.largest, found.largest),
    rms: Math.sqrt((total.rms ** 2 * total.weights + found.squares) / weights),
    ...(isLargest ? { at: place.id } : total.at !== undefined && { at: total.at }),
  };
}

interface Side {
  /** [n, k]. */
  readonly codes: Uint8Array;
  /** Over container codes: ŵ = scale · (C − 2^(m−1)) + offset; [n, columns]. */
  readonly scale: Float32Array;
  readonly offset: Float32Array;
}

interface Found {
  codes: number;
  tables: number;
  largest: number;
  squares: number;
}

function changeOf([a, b]: Pair<Side>, place: ProjectionPlace, bits: Precision): Found {
  const { n, k, columns } = place;
  const { block } = tableBlocks(place);
  const container = containerBits(bits);
  const [lift, middle] = [2 ** (container - bits), 2 ** (container - 1)];
  const found = { codes: 0, tables: 0, largest: 0, squares: 0 };
  for (let entry = 0; entry < n * columns; entry++) {
    const [row, column] = [Math.floor(entry / columns), entry % columns];
    const [from, to] = [row * k + column * block, row * k + Math.min(k, (column + 1) * block)];
    const [one, two] = [a.scale[entry] as number, b.scale[entry] as number];
    const [low, high] = [a.offset[entry] as number, b.offset[entry] as number];
    const isSame = one === two && low === high;
    if (!isSame) found.tables++;
    const step = lift * Math.max(Math.abs(one), Math.abs(two));
    for (let at = from; at < to; at++) {
      const [p, q] = [a.codes[at] as number, b.codes[at] as number];
      if (p !== q) found.codes++;
      else if (isSame) continue;
      const change = Math.abs(one * (p * lift - middle) + low - two * (q * lift - middle) - high);
      const steps = step === 0 ? Number(change > 0) : change / step;
      found.largest = Math.max(found.largest, steps);
      found.squares += steps ** 2;
    }
  }
  return found;
}
