/** Nested embeddings and heads as they are stored: planes cut from codes in a file, range by range, so that memory stays small. */
import type { DType } from '../onnx/ir/dtype.js';
import { lazyTensor, type Tensor } from '../onnx/ir/tensor.js';
import { type PlanePlace, type ProjectionPlace, placeBlocks, type Range, type SetLayout } from '../quant/layout.js';
import { packPlane } from '../quant/planes.js';
import type { NestedTable } from '../solve/index.js';
import type { SetReader } from './packed.js';
import { tablePartsOf } from './parts.js';
import { type ProjectionParts, tablePiecesOf, typedPlace } from './stored-pieces.js';

/** A token table at its place, with the element types that its columns really have. */
export interface PlacedTable {
  readonly place: ProjectionPlace;
  /** uint8 [n, k], parent codes. */
  readonly codes: Tensor;
  readonly parts: Omit<ProjectionParts, 'codes'>;
}

/** Solved tables at the places that a layout has for them. */
export function placedTables(layout: SetLayout, solved: readonly NestedTable[]): readonly PlacedTable[] {
  return (layout.tokenTables ?? []).map((place) => {
    const found = solved.find(({ id }) => id === place.id);
    if (found === undefined) throw new Error(`${place.id} was not solved`);
    const parts = tablePartsOf(place, found.nested, layout);
    return { place: typedPlace(place, parts), codes: found.codes, parts };
  });
}

/** Bytes of one range, read piece by piece. */
export interface StoredRange {
  readonly range: Range;
  /** uint8 [length]. */
  readonly tensor: Tensor;
}

/** All ranges of a token table: planes, then the columns of its tables. */
export function rangesOfTable({ place, codes, parts }: PlacedTable): readonly StoredRange[] {
  const planes = place.planes.map((plane) => ({ range: plane, tensor: planeTensor(place, plane, codes) }));
  const tables = tablePiecesOf(place, parts).map(({ range, bytes }) => {
    return { range, tensor: lazyTensor('uint8', [range.length], (start, end) => bytes().subarray(start, end)) };
  });
  return [...planes, ...tables];
}

/** The bytes of a plane, made from the rows that hold them. */
function planeTensor(place: ProjectionPlace, plane: PlanePlace, codes: Tensor): Tensor {
  const blocks = placeBlocks(place);
  const row = plane.length / place.n;
  return lazyTensor('uint8', [plane.length], (start, end) => {
    const [first, last] = [Math.floor(start / row), Math.ceil(end / row)];
    const packed = packPlane(codes.bytes(first * place.k, last * place.k), last - first, blocks, plane);
    return packed.subarray(start - first * row, end - first * row);
  });
}

/** A reader that has these token tables too, before there is a data file. */
export function withTables(reader: SetReader, tables: readonly PlacedTable[]): SetReader {
  if (tables.length === 0) return reader;
  const ranges = new Map(tables.flatMap(rangesOfTable).map(({ range, tensor }) => [range.offset, tensor]));
  const tensor = (range: Range, dtype: DType, shape: readonly number[]): Tensor => {
    const found = ranges.get(range.offset);
    if (found === undefined) return reader.tensor(range, dtype, shape);
    return lazyTensor(dtype, shape, (start, end, into) => found.bytes(start, end, into), found.storage);
  };
  return { layout: { ...reader.layout, tokenTables: tables.map(({ place }) => place) }, tensor };
}
