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
import type { TextOptions } from '../text/index.js';
import { type Float16Facts, openHalf } from './half-template.js';
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
import { HALF_SUFFIX, type OpenTemplate, openTemplate } from './set-template.js';
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
  /** Compute in float16 between operators, caches included, for WebGPU; values that float16 does not hold stay float32. */
  readonly float16?: boolean;
  /** Text that ranges of activations are measured on, for `float16`; random token ids by default. */
  readonly text?: TextOptions;
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
  /** What stayed float32 in a float16 model because of its range. */
  readonly float16?: Float16Facts;
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
  requireForm(options);
  const { set, overwrite, float16 = false, text } = options;
  const name = `int${options.bits}${float16 ? HALF_SUFFIX : ''}`;
  guardSetOutput({ set, output, name, form: standalone ? 'pair' : 'set', overwrite });
  const open = openTemplate(set);
  const bits = precisionOf(open, options.bits, 'bits');
  context.signal.throwIfAborted();
  const layout = open.set.manifest.layout;
  const selection: Selection = { name, bits, bitsOf: () => bits };
  if (kind !== 'prefix') return sliceParent(open, selection, bits, options, kind);
  requireData(open.set, prefixRead(layout, selection.bitsOf));
  const half = float16 ? await openHalf(open, selection, text, context) : undefined;
  const from = half?.open ?? open;
  const files = standalone
    ? writeStandalone(from, selection, output, ...(format === 'qdq' ? [fillQdq] : []))
    : writeSelection(from, selection, output);
  const { average, stored } = bitsPerWeight(layout, selection.bitsOf, standalone);
  return { files, averageBits: average, storedBitsPerWeight: stored, ...(half && { float16: half.facts }) };
}

/** Forms that need each other, or exclude each other. */
function requireForm({ standalone, float16, slice: kind, format = 'matmulnbits', text }: SliceOptions): void {
  if ((kind !== 'prefix' || format !== 'matmulnbits') && !standalone) {
    const what =
      kind === 'prefix' ? 'DequantizeLinear cannot read bit planes' : `Codes of a ${kind} slice are not bit prefixes`;
    fail('bad-usage', kind === 'prefix' ? 'format' : 'slice', `${what}: write them with \`standalone\``);
  }
  if (float16 && (kind !== 'prefix' || format === 'qdq'))
    fail('bad-usage', 'float16', 'Models in float16 are prefix slices for MatMulNBits: leave out `slice` and `format`');
  if (!float16 && text !== undefined)
    fail('bad-usage', 'text', 'Text is measured for `float16` only, and has no effect without it');
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
