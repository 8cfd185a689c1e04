import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { compile } from '../../src/compile/compile.js';
import { inspect } from '../../src/compile/inspect.js';
import { mix } from '../../src/mix/mix.js';
import { bitsPerWeight } from '../../src/quant/layout-use.js';
import type { RecipeInput } from '../../src/recipe/index.js';
import { openSet } from '../../src/set/index.js';
import { slice } from '../../src/set/slice.js';
import { storedBitsOfGraph } from '../../src/set/stored-bits-of-graph.js';
import { COMPILE } from '../support/compile.js';
import { temporaryFolder } from '../support/paths.js';
import { mistral } from '../support/stories.js';

const root = temporaryFolder();
afterAll(() => rmSync(root, { recursive: true }));

/** r bits and two columns of tables per block, by the arithmetic of the format. */
const RECIPES: readonly (readonly [string, RecipeInput, (bits: number) => number])[] = [
  ['8-bit tables', { block: 32, bits: [8, 6, 3, 2] }, (bits) => bits + (2 * 9) / 32],
  [
    'float16 scales and zero points',
    { block: 64, bits: [8, 2], decode: 'tied', tables: 'fp16' },
    (bits) => bits + 24 / 64,
  ],
];

describe.each(RECIPES)('stored bits per weight with %s', (name, fields, formula) => {
  const output = join(root, name.slice(0, 5));
  const recipe: RecipeInput = { method: 'rtn', ...fields };

  it('are one number for inspect, compile, slice, eval and mix', async () => {
    const { precisions } = await compile({ ...COMPILE, model: mistral, output, recipe });
    const planned = await inspect({ model: mistral, recipe });
    for (const { bits, storedBitsPerWeight } of precisions) {
      const cut = { set: join(output, 'm.json'), bits };
      const nested = await slice({ ...cut, output: join(output, `cut${bits}.onnx`) });
      const whole = await slice({ ...cut, output: join(root, `${name}${bits}.onnx`), standalone: true });
      expect(storedBitsPerWeight).toBeCloseTo(formula(bits), 9);
      expect(planned.sizes[`int${bits}`]?.storedBitsPerWeight).toBe(storedBitsPerWeight);
      expect(nested.storedBitsPerWeight).toBe(storedBitsPerWeight);
      expect(storedBitsOfGraph(join(output, `m_int${bits}.onnx`))).toBe(storedBitsPerWeight);
      expect(storedBitsOfGraph(join(output, `cut${bits}.onnx`))).toBe(storedBitsPerWeight);
      expect(storedBitsOfGraph(join(root, `${name}${bits}.onnx`))).toBe(whole.storedBitsPerWeight);
    }
    for (const kind of ['paper', 'extra'] as const) {
      const cut = { set: join(output, 'm.json'), bits: 2, output: join(root, `${name}-${kind}.onnx`) };
      const rounded = await slice({ ...cut, standalone: true, slice: kind });
      expect(storedBitsOfGraph(cut.output)).toBe(rounded.storedBitsPerWeight);
    }
    const { layout } = openSet(join(output, 'm.json')).manifest;
    expect(layout.bits.map((bits) => bitsPerWeight(layout, () => bits, false).stored)).toEqual(
      precisions.map(({ storedBitsPerWeight }) => storedBitsPerWeight),
    );
    const bitsFile = join(output, 'bits.json');
    writeFileSync(bitsFile, JSON.stringify({ '*': 8, 'layers.0': recipe.bits?.at(-1) }));
    const mixed = join(output, 'mixed.onnx');
    const { storedBitsPerWeight } = await mix({ set: join(output, 'm.json'), goal: { bitsFile }, output: mixed });
    expect(storedBitsOfGraph(mixed)).toBe(storedBitsPerWeight);
  });
});
