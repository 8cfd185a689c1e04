/** One precision out of a nested set: from the set alone, without the original or calibration. */
import { packProjections } from '../../passes/pack-projections.js';
import { qdqProjections } from '../../passes/qdq-projections.js';
import { fail } from '../diagnostics.js';
import { type Context, silentContext } from '../log.js';
import { step } from '../onnx/rewrite/run-passes.js';
import { checkOptions, type Input } from '../options/index.js';
import { bytesNeeded } from '../quant/layout.js';
import { bitsPerWeight, prefixRead } from '../quant/layout-use.js';
import type { Precision } from '../quant/precision.js';
import { codeBits } from '../quant/slice.js';
import { packColumns, packPrefix, packSlice } from './packed.js';
import { requireData } from './set-digests.js';
import {
  type Fill,
  precisionOf,
  type Selection,
  type WrittenFile,
  writeSelection,
  writeStandalone,
} from './set-output.js';
import { guardSetOutput } from './set-outputs.js';
import { type OpenTemplate, openTemplate } from './set-template.js';
import { storedBitsOfGraph } from './stored-bits-of-graph.js';

/** The options of `slice` with all defaults filled in; `SliceInput` is what a caller passes. */
export interface SliceOptions {
  /** The .json of a set. */
  readonly set: string;
  /** Precision to take. */
  readonly bits: number;
  /** The .onnx file to write. */
  readonly output: string;
  /** Write codes in the form of the runtime: no work at load, nothing shared with the set. */
  readonly standalone: boolean;
  /** How codes are cut; `paper` and `extra` need `standalone`. */
  readonly slice: 'prefix' | 'paper' | 'extra';
  /** Operators of a self-contained model: MatMulNBits (default), or DequantizeLinear of standard ONNX. */
  readonly format?: 'matmulnbits' | 'qdq';
  /** Replace files of the same names that this tool did not write. Inputs are never replaced. */
  readonly overwrite?: boolean;
}

/** The model that was written. */
export interface SliceResult {
  readonly files: readonly WrittenFile[];
  /** Bits of a code on average: attention may be kept above the precision asked for. */
  readonly averageBits: number;
  /** Bits per quantized weight on disk: containers and tables included. */
  readonly storedBitsPerWeight: number;
}

/** What `slice` takes. */
export type SliceInput = Input<SliceOptions, 'standalone' | 'slice'>;

/**
 * Takes one precision out of a set, as a graph with a shorter data file or as a self-contained model. Fails with `not-a-set`,
 * `damaged` or `precision-missing`.
 */
export async function slice(input: SliceInput, context: Context = silentContext()): Promise<SliceResult> {
  const options = checkOptions<SliceOptions>('slice', input);
  const { slice: kind, standalone, output, format = 'matmulnbits' } = options;
  if ((kind !== 'prefix' || format !== 'matmulnbits') && !standalone) {
    const what =
      kind === 'prefix' ? 'DequantizeLinear cannot read bit planes' : `Codes of a ${kind} slice are not bit prefixes`;
    fail('bad-usage', kind === 'prefix' ? 'format' : 'slice', `${what}: write them with \`standalone\``);
  }
  const { set, overwrite } = options;
  guardSetOutput({ set, output, name: `int${options.bits}`, form: standalone ? 'pair' : 'set', overwrite });
  const open = openTemplate(set);
  const bits = precisionOf(open, options.bits, 'bits');
  context.signal.throwIfAborted();
  const layout = open.set.manifest.layout;
  const selection: Selection = { name: `int${bits}`, bits, bitsOf: () => bits };
  if (kind !== 'prefix') return sliceParent(open, selection, bits, options, kind);
  requireData(open.set, prefixRead(layout, selection.bitsOf));
  const files = standalone
    ? writeStandalone(open, selection, output, ...(format === 'qdq' ? [fillQdq] : []))
    : writeSelection(open, selection, output);
  const { average, stored } = bitsPerWeight(layout, selection.bitsOf, standalone);
  return { files, averageBits: average, storedBitsPerWeight: stored };
}

const fillQdq: Fill = (filling, reader) =>
  step(
    qdqProjections,
    {},
    {
      ...filling,
      pack: (place, bits, dtype) => packColumns(reader, place, bits, dtype),
      packRows: (place, bits) => packPrefix(reader, place, bits),
    },
  );

/** Slices that round: cut from the int8 codes, so all bytes must be there. */
function sliceParent(
  open: OpenTemplate,
  selection: Selection,
  bits: Precision,
  { output, format }: SliceOptions,
  kind: 'paper' | 'extra',
): SliceResult {
  if (format === 'qdq') fail('bad-usage', 'slice', `${kind} slices are written for MatMulNBits only`);
  const { layout } = open.set.manifest;
  requireData(open.set, bytesNeeded(layout, layout.bits.at(-1) as number));
  const fill: Fill = (filling, reader) =>
    step(packProjections, {}, { ...filling, pack: (place, own) => packSlice(reader, place, own, kind) });
  const files = writeStandalone(open, { ...selection, name: `int${bits}-${kind}` }, output, fill);
  // Their tables are plain float32, which no place of the set has.
  const { average } = bitsPerWeight(layout, () => codeBits(kind, bits), true);
  return { files, averageBits: average, storedBitsPerWeight: storedBitsOfGraph(output) };
}
