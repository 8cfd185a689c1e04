/**
 * Bit planes to the B operand of MatMulNBits, as operators on constants: per plane one Gather from a table of widened bytes,
 * between planes an Add (their bits never overlap), at the end one Reshape. ONNX Runtime folds all of it when the session is
 * made. Only Cast, Gather, Add, Reshape, Expand and Concat are used. Add takes uint8 from opset 14 on; older graphs add int32.
 */
import { int } from '../onnx/ir/attribute.js';
import type { DType } from '../onnx/ir/dtype.js';
import type { Node, Value } from '../onnx/ir/graph.js';
import { type Tensor, tensorOf } from '../onnx/ir/tensor.js';
import { isWhole, type Widening, wideningOf, widenTable } from '../quant/join-table.js';
import { type PlanePlace, type ProjectionPlace, placeBlocks, planesAt, type Range } from '../quant/layout.js';
import { containerBits, type Precision } from '../quant/precision.js';
import { type Emitter, SHARED } from './emitter.js';

/** Makes the tensor over a range of the set's data file. */
export type RangeTensor = (range: Range, dtype: DType, shape: readonly number[]) => Tensor;

/**
 * Bytes looked up at a time. Words halve the look-ups (3.2 against 4.8 ns per weight at int3, 13 against 21 at int8), but their
 * tables of up to 1 MiB each are worth making only for models of some size.
 */
export type JoinStep = 'byte' | 'word';

/** Codes from which on words are faster over the whole model. */
export const WORD_FROM: number = 1 << 22;

export class Joiner {
  readonly #emitter: Emitter;
  readonly #tensor: RangeTensor;
  readonly #step: JoinStep;
  readonly #tables: Map<string, Value> = new Map();

  constructor(emitter: Emitter, tensor: RangeTensor, step: JoinStep) {
    this.#emitter = emitter;
    this.#tensor = tensor;
    this.#step = step;
  }

  /** B [n, blocks, block · m/8] of a projection at one of its precisions, made before `anchor`. */
  join(anchor: Node, place: ProjectionPlace, bits: Precision, name: string): Value {
    const planes = planesAt(place, bits);
    const [first] = planes;
    const blocks = placeBlocks(place);
    const container = containerBits(bits);
    const shape = [place.n, blocks.count, (blocks.block * container) / 8];
    if (planes.length === 1 && first !== undefined && isWhole(first, bits)) {
      return this.#emitter.initializer(`${name}_Q${bits}`, this.#tensor(first, 'uint8', shape));
    }
    let sum: Value | undefined;
    for (const plane of planes) {
      const wide = this.#widen(anchor, place, plane, bits, name);
      sum =
        sum === undefined
          ? wide
          : this.#emitter.add(anchor, place.id, { op: 'Add', inputs: [sum, wide], name: `${name}/join/Add` });
    }
    if (sum === undefined) throw new Error(`${place.id} has no plane for int${bits}`);
    if (this.#addsInt32) sum = this.#emitter.cast(anchor, place.id, sum, 'uint8', `${name}/join/Cast`);
    return this.#emitter.reshape(anchor, place.id, sum, shape, `${name}_Q${bits}`);
  }

  /** One plane as container codes, uint8 [groups, 2, 2, bytes]: the shape that all widths have in common. */
  #widen(anchor: Node, place: ProjectionPlace, plane: PlanePlace, bits: Precision, name: string): Value {
    const { dtype, codes } = STEPS[this.#step];
    const blocks = placeBlocks(place);
    const groups = (place.n * blocks.count * blocks.block) / codes;
    const shape = [groups, ...TWOS.slice(0, Math.log2(plane.width))];
    const label = `${name}/plane_${8 - plane.above}_${plane.width}`;
    const stored = this.#emitter.initializer(label, this.#tensor(plane, dtype, shape));
    const index = this.#emitter.cast(anchor, place.id, stored, 'int32', `${label}/Cast`);
    const table = this.#table(anchor, wideningOf(plane, bits));
    const inputs = [table, index];
    return this.#emitter.add(anchor, place.id, {
      op: 'Gather',
      inputs,
      attributes: { axis: int(0) },
      name: `${label}/Gather`,
    });
  }

  #table(anchor: Node, widening: Widening): Value {
    const { width, lift, container } = widening;
    const name = `${SHARED}widen_${width}_${lift}_${container}`;
    const known = this.#tables.get(name) ?? this.#typed(anchor, this.#makeTable(anchor, widening, name), name);
    this.#tables.set(name, known);
    return known;
  }

  #typed(anchor: Node, table: Value, name: string): Value {
    return this.#addsInt32 ? this.#emitter.cast(anchor, '', table, 'int32', `${name}/Cast`) : table;
  }

  get #addsInt32(): boolean {
    return this.#emitter.opset < 14;
  }

  /** The table [rows, 2…, bytes]. A word's row is the row of its low byte, then that of its high byte. */
  #makeTable(anchor: Node, widening: Widening, name: string): Value {
    const row = widening.container / widening.width;
    const twos = TWOS.slice(Math.log2(widening.width));
    const bytes = widenTable(widening);
    if (this.#step === 'byte') {
      const shape = [256, ...twos, widening.container / 4];
      return this.#emitter.shared(name, () => tensorOf('uint8', shape, bytes));
    }
    const halves = [
      [1, 256, row],
      [256, 1, row],
    ].map((shape) => {
      const half = this.#emitter.shared(`${name}/${shape[0]}`, () => tensorOf('uint8', shape, bytes));
      return this.#emitter.expand(anchor, '', half, shape, [256, 256, row], `${name}/Expand`);
    });
    const rows = this.#emitter.add(anchor, '', {
      op: 'Concat',
      inputs: halves,
      attributes: { axis: int(2) },
      name: `${name}/Concat`,
    });
    return this.#emitter.reshape(anchor, '', rows, [65536, ...twos, widening.container / 2], name);
  }
}

/** A plane of 1, 2 or 4 bits takes 1, 2 or 4 bytes (words) for a group of 8 (16) codes. */
const TWOS: readonly number[] = [2, 2];
const STEPS: Record<JoinStep, { readonly dtype: 'uint8' | 'uint16'; readonly codes: number }> = {
  byte: { dtype: 'uint8', codes: 8 },
  word: { dtype: 'uint16', codes: 16 },
};
