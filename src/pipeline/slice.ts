/** One precision out of a nested set: from the set alone, without the original or calibration. */
import { fail } from '../diagnostics.js';
import type { Context } from '../log.js';
import { bytesNeeded } from '../quant/layout.js';
import { type BitsPerWeight, bitsPerWeight, prefixRead } from '../quant/layout-use.js';
import { codeBits } from '../quant/slice.js';
import { packSlice } from './packed.js';
import {
  precisionOf,
  refuseShort,
  type Selection,
  type WrittenFile,
  writeSelection,
  writeStandalone,
} from './set-output.js';
import { openTemplate } from './set-template.js';

export interface SliceOptions {
  /** The .json of a set. */
  readonly set: string;
  readonly bits: number;
  /** The .onnx file to write. */
  readonly output: string;
  /** Pack the codes as the runtime wants them: no work at load, nothing shared with the set. */
  readonly standalone: boolean;
  readonly slice: 'prefix' | 'paper' | 'extra';
}

export interface SliceResult {
  readonly files: readonly WrittenFile[];
  /** Bits of a code on average: attention may be kept above the precision asked for. */
  readonly averageBits: number;
  /** Bits per quantized weight on disk: containers and tables included. */
  readonly storedBitsPerWeight: number;
}

export async function slice(options: SliceOptions, context: Context): Promise<SliceResult> {
  const { slice: kind, standalone, output } = options;
  if (kind !== 'prefix' && !standalone) {
    fail('bad-usage', '--slice', `Codes of a ${kind} slice are no bit prefix: write them with --standalone`);
  }
  const open = openTemplate(options.set);
  const bits = precisionOf(open, options.bits, '--bits');
  context.signal.throwIfAborted();
  const layout = open.set.manifest.layout;
  const selection: Selection = { name: `int${bits}`, bits, bitsOf: () => bits };
  if (kind === 'prefix') {
    refuseShort(open, prefixRead(layout, selection.bitsOf));
    const files = standalone ? writeStandalone(open, selection, output) : writeSelection(open, selection, output);
    return { files, ...shares(bitsPerWeight(layout, selection.bitsOf, standalone)) };
  }
  refuseShort(open, bytesNeeded(layout, layout.bits.at(-1) as number));
  const name = `int${bits}-${kind}`;
  const files = writeStandalone(open, { ...selection, name }, output, (reader, place, own) =>
    packSlice(reader, place, own, kind),
  );
  return { files, ...shares(bitsPerWeight(layout, () => codeBits(kind, bits), true)) };
}

const shares = ({ average, stored }: BitsPerWeight): Omit<SliceResult, 'files'> => ({
  averageBits: average,
  storedBitsPerWeight: stored,
});
