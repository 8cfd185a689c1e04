/** Students for tests of distillation: some projections of a small decoder in two bits, made here. */
import type { ModelAnalysis, Projection } from '../../src/analysis/projection.js';
import { toFloat32 } from '../../src/onnx/ir/half.js';
import { blocksOf } from '../../src/quant/grid.js';
import { transpose } from '../../src/quant/pack.js';
import type { StudentProjection, Tables } from '../../src/train/distill/student.js';
import { type CentredColumns, centredColumns, centreOf } from '../../src/train/table-parameters.js';

/** Weights [n, k] of a projection. */
export function weightsOf({ weight, k, n }: Projection): Float32Array {
  const stored = toFloat32(weight.tensor.bytes(), 'float32');
  return weight.layout === 'NK' ? stored : transpose(stored.slice(), k, n);
}

export const projectionOf = ({ projections }: ModelAnalysis, id: string): Projection =>
  projections.find((projection) => projection.id === id) as Projection;

/** A projection with two-bit codes of the extremes of every block of 64. */
export function minMaxStudent(projection: Projection, learns = true): StudentProjection {
  const { id, k, n } = projection;
  const weights = weightsOf(projection);
  const blocks = blocksOf(k, 64);
  const table = { scale: new Float32Array(n * blocks.count), offset: new Float32Array(n * blocks.count) };
  const codes = new Uint8Array(n * k);
  for (let block = 0; block < table.scale.length; block++) {
    const own = weights.subarray(block * 64, (block + 1) * 64);
    const [low, high] = [Math.min(...own), Math.max(...own)];
    table.scale[block] = (high - low) / 3;
    table.offset[block] = low;
    own.forEach((weight, at) => {
      codes[block * 64 + at] = Math.round((3 * (weight - low)) / (high - low));
    });
  }
  const frozen = { name: id, n, codes, blocks, centre: centreOf('ab', 2), hasOffset: true };
  return { projection, codes: frozen, columns: centredColumns(table, frozen), learns };
}

/** The student of scripts/make-distill-fixture.py: codes on a fixed grid, tables that differ from block to block. */
export function gridStudent(projection: Projection, block: number): StudentProjection {
  const { id, k, n } = projection;
  const codes = Uint8Array.from(weightsOf(projection), (weight) =>
    Math.max(0, Math.min(3, Math.floor(weight * 25 + 2))),
  );
  const blocks = blocksOf(k, block);
  const each = (value: (at: number) => number): Float32Array =>
    Float32Array.from({ length: n * blocks.count }, (_, at) => value(at));
  const columns: CentredColumns = {
    scale: each((at) => 0.04 * (1 + 0.1 * (at % 3))),
    offset: each((at) => 0.005 * ((at % 5) - 2)),
  };
  const frozen = { name: id, n, codes, blocks, centre: centreOf('ab', 2), hasOffset: true };
  return { projection, codes: frozen, columns, learns: true };
}

/** The tables that learn. */
export const tablesOf = (student: readonly StudentProjection[]): Tables =>
  new Map(student.filter(({ learns }) => learns).map(({ codes, columns }) => [codes.name, columns]));
