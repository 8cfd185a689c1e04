/** Float models as other quantizers leave them: weights of 4 bits in QDQ form or in MatMulNBits, by rounding. */
import { analyse } from '../../src/analysis/projections.js';
import { int } from '../../src/onnx/ir/attribute.js';
import type { Model, Value } from '../../src/onnx/ir/graph.js';
import { float32s, tensorOf } from '../../src/onnx/ir/tensor.js';
import { Rewriter } from '../../src/onnx/rewrite/rewriter.js';

const BLOCK = 32;
const ZERO = 8;

/** A weight [k, n] as codes 0…15 of that shape and scales [k / block, n]. */
interface Rounded {
  readonly k: number;
  readonly n: number;
  readonly codes: Uint8Array;
  readonly scales: Float32Array;
}

/** Replaces the weight of every projection of `model`. */
export function quantizedSource(model: Model, form: 'QDQ' | 'MatMulNBits'): void {
  const rw = new Rewriter(model);
  const { projections } = analyse(model);
  for (const { id, k, n, weight, sites } of projections) {
    if (weight.layout !== 'KN' || id === 'head') continue;
    const numbers = new Float32Array(weight.tensor.bytes().slice().buffer);
    const stored = rounded(numbers, k, n);
    for (const { node, input } of sites) {
      if (form === 'QDQ') {
        rw.replaceInput(node, 1, dequantized(rw, weight.source, stored));
        continue;
      }
      const attributes = { K: int(k), N: int(n), bits: int(4), block_size: int(BLOCK) };
      const initializers = packed(rw, weight.source, stored);
      rw.requireDomain('com.microsoft', 1);
      rw.replaceNode(node, {
        op: 'MatMulNBits',
        domain: 'com.microsoft',
        name: node.name,
        inputs: [input, ...initializers],
        attributes,
      });
    }
    rw.dropIfUnused(weight.source);
  }
}

function rounded(numbers: Float32Array, k: number, n: number): Rounded {
  const codes = new Uint8Array(k * n);
  const scales = new Float32Array((k / BLOCK) * n);
  for (let column = 0; column < n; column++) {
    for (let block = 0; block < k / BLOCK; block++) {
      let most = 0;
      for (let row = 0; row < BLOCK; row++)
        most = Math.max(most, Math.abs(numbers[(block * BLOCK + row) * n + column] as number));
      const scale = most / (ZERO - 1) || 1;
      scales[block * n + column] = scale;
      for (let row = 0; row < BLOCK; row++) {
        const at = (block * BLOCK + row) * n + column;
        codes[at] = Math.round((numbers[at] as number) / scale) + ZERO;
      }
    }
  }
  return { k, n, codes, scales };
}

/** Codes 0…15, two per byte with the first in the low half. */
const nibbles = (codes: Uint8Array): Uint8Array =>
  Uint8Array.from(
    { length: codes.length / 2 },
    (_, at) => (codes[2 * at] as number) | ((codes[2 * at + 1] as number) << 4),
  );

/** DequantizeLinear of opset 21 and newer, by blocks along the first axis; codes in uint4. */
function dequantized(rw: Rewriter, weight: Value, { k, n, codes, scales }: Rounded): Value {
  const { graph, name } = weight;
  const zeros = new Uint8Array(scales.length).fill(ZERO);
  const stored = rw.initializer(graph, `${name}.codes`, tensorOf('uint4', [k, n], nibbles(codes)));
  const scale = rw.initializer(graph, `${name}.scale`, float32s(scales, [k / BLOCK, n]));
  const zero = rw.initializer(graph, `${name}.zero`, tensorOf('uint4', [k / BLOCK, n], nibbles(zeros)));
  const attributes = { axis: int(0), block_size: int(BLOCK) };
  const [reader] = [...weight.uses].map(({ node }) => node);
  if (reader === undefined) throw new Error(`${name} is not read`);
  return rw.insert(reader, {
    op: 'DequantizeLinear',
    name: `${name}/DequantizeLinear`,
    inputs: [stored, scale, zero],
    attributes,
  });
}

/** Codes [n, k / block, block / 2] and scales [n · k / block]. */
function packed(rw: Rewriter, weight: Value, { k, n, codes, scales }: Rounded): readonly Value[] {
  const blocks = k / BLOCK;
  const rows = new Uint8Array(n * k);
  const turned = new Float32Array(n * blocks);
  for (let column = 0; column < n; column++) {
    for (let block = 0; block < blocks; block++) turned[column * blocks + block] = scales[block * n + column] as number;
    for (let row = 0; row < k; row++) rows[column * k + row] = codes[row * n + column] as number;
  }
  const { graph, name } = weight;
  return [
    rw.initializer(graph, `${name}.packed`, tensorOf('uint8', [n, blocks, BLOCK / 2], nibbles(rows))),
    rw.initializer(graph, `${name}.scales`, float32s(turned, [n * blocks])),
  ];
}
