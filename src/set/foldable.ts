/** Whether a runtime folds what joins the codes of a nested graph: ONNX Runtime from 1.27 on leaves larger outputs as they are. */
import { fail } from '../diagnostics.js';
import { byteSize } from '../format.js';
import { isWhole } from '../quant/join-table.js';
import { allPlaces, effectiveBits, placeBlocks, planesAt, type SetLayout } from '../quant/layout.js';
import type { BitsOf } from '../quant/layout-use.js';
import { containerBits } from '../quant/precision.js';

/** `optimization.constant_folding_max_output_size_in_bytes` of ONNX Runtime 1.27 to 1.32. */
export const FOLD_LIMIT: number = 2 ** 30;

/** Fails with `not-folded` where codes would be joined at every run. Up to operator set 13 codes are joined as int32. */
export function requireFoldable(layout: SetLayout, bitsOf: BitsOf, opset: number, limit: number = FOLD_LIMIT): void {
  for (const place of allPlaces(layout)) {
    if (place.role === 'embedding') continue;
    const bits = effectiveBits(place, bitsOf(place.id));
    const planes = planesAt(place, bits);
    if (planes.every((plane) => isWhole(plane, bits))) continue;
    const { count, block } = placeBlocks(place);
    const codes = (place.n * count * block * containerBits(bits)) / 8;
    const largest = opset < 14 ? 4 * codes : codes;
    if (largest <= limit) continue;
    fail(
      'not-folded',
      place.id,
      `The codes of int${bits} take ${byteSize(largest)} when they are joined, more than ONNX Runtime folds`,
    );
  }
}
