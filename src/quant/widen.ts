/**
 * Bit planes to container codes at memory speed: the plain counterpart of the graph that joins planes at load. Planes are read
 * into the kernels' memory piece by piece and widened there while they are in the second-level cache.
 */
import { Arena } from '../kernels/arena.js';
import { instantiate, type Kernels, kernelModule } from '../kernels/loader.js';
import { type Widening, widenTable } from './join-table.js';

/** A plane, and where its fields go. */
export interface WidePlane {
  readonly widening: Widening;
  /** Bytes [start, end) of the plane, in the beginning of `into` or elsewhere. */
  readonly read: (start: number, end: number, into?: Uint8Array) => Uint8Array;
}

/** Codes joined at a time. */
const PIECE = 256 * 1024;
/** How far `widenPlane` may write behind its target. */
const SLACK = 64;

/**
 * Container codes [from, to) of planes, both multiples of 16, as bytes [(to - from) · container/8]; in the beginning of `into`
 * where that is long enough.
 */
export function joinPieces(
  planes: readonly WidePlane[],
  from: number,
  to: number,
  container: number,
  into?: Uint8Array,
): Uint8Array {
  const [only] = planes;
  const bytesOf = (codes: number, width: number): number => (codes * width) / 8;
  if (planes.length === 1 && only?.widening.width === container) {
    return only.read(bytesOf(from, container), bytesOf(to, container), into);
  }
  const length = bytesOf(to - from, container);
  const out = into !== undefined && into.length >= length ? into.subarray(0, length) : new Uint8Array(length);
  joiner ??= new Joiner();
  for (let at = from; at < to; at += PIECE) {
    const end = Math.min(at + PIECE, to);
    for (const plane of planes) {
      const { width } = plane.widening;
      joiner.add(plane, bytesOf(at, width), bytesOf(end, width), plane !== only);
    }
    out.set(joiner.output.subarray(0, bytesOf(end - at, container)), bytesOf(at - from, container));
  }
  return out;
}

let joiner: Joiner | undefined;

/** The kernel with its memory: bytes of one plane, and the codes that all planes together make. */
class Joiner {
  readonly output: Uint8Array;
  readonly #arena: Arena = new Arena();
  readonly #kernels: Kernels = instantiate(kernelModule(), this.#arena.memory);
  readonly #input: Uint8Array;
  readonly #tables: Map<string, number> = new Map();

  constructor() {
    const [input, output] = [PIECE / 2, PIECE + SLACK].map((length) => this.#arena.allocate(length)) as [
      number,
      number,
    ];
    this.#input = this.#arena.bytes(input, PIECE / 2);
    this.output = this.#arena.bytes(output, PIECE);
  }

  /** Widens bytes [start, end) of a plane; with `onto`, beside the planes that are already there. */
  add({ read, widening }: WidePlane, start: number, end: number, onto: boolean): void {
    const bytes = read(start, end, this.#input);
    if (bytes.buffer !== this.#input.buffer) this.#input.set(bytes);
    const { width, container } = widening;
    const [source, target] = [this.#input.byteOffset, this.output.byteOffset];
    this.#kernels.widenPlane(source, end - start, container / width, this.#tablesOf(widening), target, onto);
  }

  /** The address of the tables that `widenPlane` asks for: byte i of the row of half byte n is entry n of table i. */
  #tablesOf(widening: Widening): number {
    const { width, lift, container } = widening;
    const known = this.#tables.get(`${width}/${lift}/${container}`);
    if (known !== undefined) return known;
    const rows = widenTable(widening);
    const row = container / width;
    const address = this.#arena.allocate(8 * row);
    const tables = this.#arena.bytes(address, 8 * row);
    for (let at = 0; at < tables.length; at++) tables[at] = rows[(at % 16) * row + Math.floor(at / 16)] as number;
    this.#tables.set(`${width}/${lift}/${container}`, address);
    return address;
  }
}
