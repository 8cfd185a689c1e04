/**
 * Rows of a token table: only the rows that are asked for are read and unpacked, with operators of standard ONNX, so that no
 * runtime has to join or fold the table. A byte of a plane becomes the numbers of its codes by a look-up; the numbers of all
 * planes add up to C − 2^(m−1), and each block is multiplied by its scale and moved by its offset.
 */
import { int, ints } from '../onnx/ir/attribute.js';
import { DTYPES } from '../onnx/ir/dtype.js';
import type { Value } from '../onnx/ir/graph.js';
import type { Tensor } from '../onnx/ir/tensor.js';
import type { Widening } from '../quant/join-table.js';
import { type ProjectionPlace, placeBlocks } from '../quant/layout.js';
import type { Emitter, Step } from './emitter.js';
import { type Placeholder, siteMetadata } from './sites.js';
import type { TableValues } from './tables.js';

/** Packed fields of all rows, and where they land in the codes of the container. */
export interface PackedRows extends Widening {
  /** uint8 [n, bytes]. */
  readonly rows: Tensor;
}

/** A table, or consecutive rows of it. */
export interface TablePart {
  readonly place: ProjectionPlace;
  readonly table: TableValues;
  readonly rows: readonly PackedRows[];
}

/** Replaces a placeholder of rows by [..., k] in its element type. Of several parts each id takes the rows of its own. */
export function expandLookup(emitter: Emitter, site: Placeholder, parts: readonly TablePart[]): void {
  const [first, ...others] = parts;
  if (first === undefined) throw new Error(`${site.id} has no parts`);
  const whole = new Lookup(emitter, site, first.place);
  if (others.length === 0) {
    whole.finish(rowsOf(whole, first));
    return;
  }
  let begin = 0;
  const made = parts.map((part) => {
    const look = new Lookup(emitter, site, part.place, { begin, size: part.place.n });
    begin += part.place.n;
    return { end: begin, rows: rowsOf(look, part) };
  });
  whole.finish(
    made.reduceRight(({ rows: after }, { end, rows }) => ({ end, rows: whole.choose(end, rows, after) })).rows,
  );
}

/** Rows [rows, blocks, block] of one part. */
function rowsOf(look: Lookup, { table, rows }: TablePart): Value {
  const numbers = rows.map((part, at) => look.numbers(part, at === 0 && table.zero === undefined));
  const codes = numbers.reduce((sum, each) => look.add('Add', [sum, each], 'join'));
  const centred = table.zero === undefined ? codes : look.add('Sub', [codes, look.zero(table.zero)], 'zero');
  const scaled = look.add('Mul', [centred, look.scale(table.scale('float32'))], 'scale');
  return table.offset === undefined ? scaled : look.add('Add', [scaled, look.offset(table.offset)], 'offset');
}

class Lookup {
  readonly #emitter: Emitter;
  readonly #site: Placeholder;
  readonly #place: ProjectionPlace;
  readonly #name: string;
  readonly #ids: Value;

  /** `range`: the rows of the table that are here; ids of others are given some row, which is not chosen. */
  constructor(
    emitter: Emitter,
    site: Placeholder,
    place: ProjectionPlace,
    range?: { readonly begin: number; readonly size: number },
  ) {
    this.#emitter = emitter;
    this.#site = site;
    this.#place = place;
    this.#name = range === undefined ? site.node.name : `${site.node.name}/${range.begin}`;
    this.#ids = range === undefined ? site.input : this.#local(range);
  }

  #local({ begin, size }: { readonly begin: number; readonly size: number }): Value {
    const own = begin === 0 ? this.#idsAsInt64() : this.add('Sub', [this.#idsAsInt64(), this.#scalar(begin)], 'ids');
    return this.add('Mod', [own, this.#scalar(size)], 'ids');
  }

  #idsAsInt64(): Value {
    return this.add('Cast', [this.#site.input], 'ids', { to: int(DTYPES.int64.onnx) });
  }

  #scalar(value: number): Value {
    return this.#emitter.int64s([value]);
  }

  /** Rows of ids below `end`, and others after it. */
  choose(end: number, below: Value, after: Value): Value {
    const isBelow = this.add('Less', [this.#idsAsInt64(), this.#scalar(end)], `below_${end}`);
    const mask = this.#blocks(isBelow, [1, 1], `below_${end}`);
    return this.add('Where', [mask, below, after], `below_${end}`);
  }

  add(op: string, inputs: readonly Value[], label: string, attributes: Step['attributes'] = {}): Value {
    const step = { op, inputs, attributes, name: `${this.#name}/${label}/${op}` };
    return this.#emitter.add(this.#site.node, this.#site.id, step);
  }

  /** Fields of the rows as numbers [rows, blocks, block], at the place they have in a code. */
  numbers(part: PackedRows, isCentred: boolean): Value {
    const { count, block } = placeBlocks(this.#place);
    const label = `bits_${part.lift + part.width}_${part.width}`;
    const stored = this.#emitter.initializer(`${this.#place.id}/rows_${part.lift}_${part.width}`, part.rows);
    const bytes = this.#rows(stored, label);
    const index = this.add('Cast', [bytes], label, { to: int(DTYPES.int32.onnx) });
    const numbers = this.#rows(this.#fields(part, isCentred), `${label}/fields`, index);
    return this.#blocks(numbers, [count, block], label);
  }

  /** float32 [256, 8 / width]: the fields of every byte, the lowest bits first. */
  #fields({ width, lift, container }: PackedRows, isCentred: boolean): Value {
    const perByte = 8 / width;
    const middle = isCentred ? 2 ** (container - 1) : 0;
    const values = (): Float32Array =>
      Float32Array.from({ length: 256 * perByte }, (_, at) => {
        const field = (Math.floor(at / perByte) >> (width * (at % perByte))) & (2 ** width - 1);
        return (field << lift) - middle;
      });
    return this.#emitter.floats(`fields_${width}_${lift}_${middle}`, values, [256, perByte]);
  }

  /** Scales of the rows, [rows, blocks, 1]. */
  scale(scale: Value): Value {
    return this.#blocks(this.#rows(scale, 'scales'), [placeBlocks(this.#place).count, 1], 'scales');
  }

  /** Zero points of the rows as numbers, [rows, blocks, 1]. */
  zero(zero: Value): Value {
    const rows = this.#rows(zero, 'zero');
    const numbers = this.add('Cast', [rows], 'zero', { to: int(DTYPES.float32.onnx) });
    return this.#blocks(numbers, [placeBlocks(this.#place).count, 1], 'zero');
  }

  /** Offsets of the rows, [rows, columns, 1], out of [columns, n] as the product of a head reads them. */
  offset(offset: Value): Value {
    const list = this.#emitter.reshape(this.#site.node, this.#site.id, this.#ids, [-1], `${this.#name}/ids`);
    const columns = this.add('Gather', [offset, list], 'offsets', { axis: int(1) });
    const rows = this.add('Transpose', [columns], 'offsets', { perm: ints([1, 0]) });
    return this.#blocks(rows, [this.#place.columns, 1], 'offsets');
  }

  finish(rows: Value): void {
    const { dtype, input, node } = this.#site;
    const ids = this.add('Shape', [input], 'shape');
    const shape = this.add('Concat', [ids, this.#emitter.int64s([this.#place.k])], 'shape', { axis: int(0) });
    const last = { op: 'Reshape', inputs: [rows, shape], name: `${this.#name}/Reshape` };
    const metadata = siteMetadata(this.#site);
    if (dtype === 'float32') {
      this.#emitter.rw.replaceNode(node, { ...last, metadata });
      return;
    }
    const inputs = [this.#emitter.add(node, this.#site.id, last)];
    const attributes = { to: int(DTYPES[dtype].onnx) };
    this.#emitter.rw.replaceNode(node, { op: 'Cast', inputs, attributes, name: `${this.#name}/Cast`, metadata });
  }

  #rows(from: Value, label: string, ids: Value = this.#ids): Value {
    return this.add('Gather', [from, ids], label, { axis: int(0) });
  }

  /** A list of rows, so that the rank of the ids need not be known. */
  #blocks(value: Value, tail: readonly number[], label: string): Value {
    return this.#emitter.reshape(
      this.#site.node,
      this.#site.id,
      value,
      [-1, ...tail],
      `${this.#name}/${label}/Reshape`,
    );
  }
}
