/** What attention needs beside the tokens: positions, the mask, and the angles of the rotary embedding. */
import { int, ints } from '../../src/onnx/ir/attribute.js';
import type { Value } from '../../src/onnx/ir/graph.js';
import { float32s, int64s } from '../../src/onnx/ir/tensor.js';
import type { Parts } from './parts.js';
import { SIZE } from './spec.js';

const BLOCKED = -1e4;
/** Rows of rotation tables inside operators. */
const CONTEXT = 128;
/** YaRN: factor, trained length, and the turns between which frequencies are blended. */
const YARN = { factor: 4, length: 32, fast: 32, slow: 1 } as const;
const TEMPERATURE = { beta: 0.1, length: 8 } as const;

/** Values that all layers of one graph share. */
export interface Positions {
  /** 0 or more, below -1e4 for tokens that are not seen: [batch, 1, tokens, all], for all layers and for those with a window. */
  readonly bias: Value | undefined;
  readonly windowBias: Value | undefined;
  /** [1, 1, tokens, width]. */
  readonly cos: Value;
  readonly sin: Value;
  /** [context, width / 2], for operators that turn themselves. */
  readonly tables: readonly [cos: Value, sin: Value];
  /** Last position of each text and length with the past, int32, for grouped-query attention. */
  readonly lengths: readonly Value[];
  /** Factor of the queries by position, [1, 1, tokens, 1]. */
  readonly temperature: Value | undefined;
}

/** The positions of a graph whose tokens are `tokens` [batch, tokens, …] after those of `past` [batch, heads, past, width]. */
export function positionsOf(parts: Parts, tokens: Value, mask: Value, past: Value | undefined): Positions {
  const { b, form } = parts;
  const axes = (x: Value, ...at: number[]): Value => b.op('Unsqueeze', [x, b.integers(at)]);
  const length = (x: Value, axis: number): Value => b.op('Gather', [b.op('Shape', [x]), b.integer(axis)]);
  const start = past === undefined ? b.integer(0) : length(past, 2);
  const end = b.op('Add', [length(tokens, 1), start]);
  const rows = b.op('Range', [start, end, b.integer(1)]);
  const position = b.op('Cast', [rows], { to: int(1) });
  const fused = form.attention?.startsWith('grouped') === true;
  return {
    ...(fused ? { bias: undefined, windowBias: undefined } : biases(parts, rows, end, mask)),
    ...rotation(parts, axes(position, 0, 1)),
    tables: tablesOf(parts),
    lengths: fused ? lengthsOf(parts, mask) : [],
    temperature: parts.spec.temperature ? axes(temperatureOf(parts, position), 0, 1, 3) : undefined,
  };
}

function biases({ b, spec }: Parts, rows: Value, end: Value, mask: Value): Pick<Positions, 'bias' | 'windowBias'> {
  const columns = b.op('Range', [b.integer(0), end, b.integer(1)]);
  const row = b.op('Unsqueeze', [rows, b.integers([1])]);
  const present = b.op('Unsqueeze', [b.op('Cast', [mask], { to: int(9) }), b.integers([1, 2])]);
  const seen = b.op('And', [b.op('LessOrEqual', [columns, row]), present]);
  const bias = (allowed: Value): Value => b.op('Where', [allowed, b.scalar(0), b.scalar(BLOCKED)]);
  if (spec.window === undefined) return { bias: bias(seen), windowBias: undefined };
  const near = b.op('Less', [b.op('Sub', [row, columns]), b.integer(spec.window)]);
  return { bias: bias(seen), windowBias: bias(b.op('And', [seen, near])) };
}

/** Angle a token of each pair of a head. */
function frequencies({ spec }: Parts): Float32Array {
  const turned = SIZE.width * (spec.rotaryShare ?? 1);
  return Float32Array.from({ length: turned / 2 }, (_, at) => {
    const plain = 10000 ** ((-2 * at) / turned);
    if (!spec.yarn) return plain;
    const turns = (YARN.length * plain) / (2 * Math.PI);
    const kept = Math.min(1, Math.max(0, (turns - YARN.slow) / (YARN.fast - YARN.slow)));
    return plain * kept + (plain / YARN.factor) * (1 - kept);
  });
}

const attentionFactor = ({ spec }: Parts): number => (spec.yarn ? 0.1 * Math.log(YARN.factor) + 1 : 1);

function rotation(parts: Parts, position: Value): Pick<Positions, 'cos' | 'sin'> {
  const { b } = parts;
  const numbers = frequencies(parts);
  const inverse = parts.constant('rotary_emb.inv_freq', () => float32s(numbers, [1, numbers.length, 1]));
  const angles = b.op('Transpose', [b.op('MatMul', [inverse, position])], { perm: ints([0, 2, 1]) });
  const both = b.op('Unsqueeze', [b.op('Concat', [angles, angles], { axis: int(-1) }), b.integers([1])]);
  const scaled = (wave: Value): Value =>
    attentionFactor(parts) === 1 ? wave : b.op('Mul', [wave, b.scalar(attentionFactor(parts))]);
  return { cos: scaled(b.op('Cos', [both])), sin: scaled(b.op('Sin', [both])) };
}

function tablesOf(parts: Parts): readonly [Value, Value] {
  const numbers = frequencies(parts);
  const table = (name: string, wave: (angle: number) => number): Value =>
    parts.constant(name, () => {
      const values = Float32Array.from({ length: CONTEXT * numbers.length }, (_, at) => {
        const angle = Math.floor(at / numbers.length) * (numbers[at % numbers.length] as number);
        return wave(angle) * attentionFactor(parts);
      });
      return float32s(values, [CONTEXT, numbers.length]);
    });
  return [table('cos_cache', Math.cos), table('sin_cache', Math.sin)];
}

function lengthsOf(parts: Parts, mask: Value): readonly Value[] {
  const { b } = parts;
  const one = parts.constant('one', () => int64s([1]));
  const last = b.op('Sub', [b.op('ReduceSum', [mask, one], { keepdims: int(0) }), one]);
  const total = b.op('Gather', [b.op('Shape', [mask]), b.integer(1)]);
  return [last, total].map((value) => b.op('Cast', [value], { to: int(6) }));
}

/** 1 + beta · ln(1 + floor(position / trained length)). */
function temperatureOf({ b }: Parts, position: Value): Value {
  const periods = b.op('Floor', [b.op('Div', [position, b.scalar(TEMPERATURE.length)])]);
  const log = b.op('Log', [b.op('Add', [periods, b.scalar(1)])]);
  return b.op('Add', [b.op('Mul', [log, b.scalar(TEMPERATURE.beta)]), b.scalar(1)]);
}
