/** How each operator holds the operands of a product with a weight, by `domain::op` (ONNX and ONNX Runtime contrib operators). */
import type { RefusalCode } from '../diagnostics.js';
import { floatAttribute, intAttribute, type Node, stringAttribute } from '../onnx/ir/graph.js';
import { constantOf } from './constants.js';
import type { WeightProblem } from './weights.js';

export interface Form {
  /** Input slots that may hold the weight, the usual one first; X is in slot 0, or in slot 1 when the weight is in slot 0. */
  readonly slots: readonly number[];
  /** The slot whose weight may be of any shape; elsewhere vectors, such as the frequencies of a rotary embedding, are no weights. */
  readonly bare?: number;
  readonly transB?: string;
  readonly biasSlot?: number;
  /** Whether the product is with the transpose of the weight, where no attribute says so. */
  readonly flips?: (node: Node, slot: number) => boolean;
  /** Why the product cannot be taken, from its operator and attributes alone. */
  readonly problem?: (node: Node, slot: number) => WeightProblem | undefined;
}

const refuse = (code: RefusalCode, reason: string): WeightProblem => ({ code, reason });

const quantized = (node: Node): WeightProblem => {
  const [n, k] = [intAttribute(node, 'N', 0), intAttribute(node, 'K', 0)];
  const problem = refuse('already-quantized', `the product is a ${node.op}`);
  return n > 0 && k > 0 ? { ...problem, shape: [k, n] } : problem;
};

const integer = (node: Node, slot: number): WeightProblem => {
  const shape = constantOf(node.inputs[slot])?.shape;
  const problem = refuse('already-quantized', `the product is a ${node.op}`);
  return shape?.length === 2 ? { ...problem, shape } : problem;
};

const shapeText = (node: Node, slot: number): string => `[${constantOf(node.inputs[slot])?.shape.join(', ') ?? '?'}]`;

/** A fused mixture of experts holds two or three stacks of matrices. */
const experts = (node: Node): WeightProblem => {
  const stacks = node.inputs.flatMap((input, slot) => {
    const shape = constantOf(input)?.shape;
    return shape?.length === 3 ? [`${input?.name} ${shapeText(node, slot)}`] : [];
  });
  const held = stacks.length === 0 ? '' : ` with the stacked matrices ${stacks.join(', ')}`;
  return refuse('expert-weights', `the product is a ${node.op}${held}`);
};

const fused = (): WeightProblem => refuse('no-gated-ffn', 'the fused Attention operator holds its weight itself');

/** A product of another form than X · W. */
const other = (node: Node, slot: number): WeightProblem =>
  refuse(
    'product-form',
    `the product is a ${node.op} with the weight ${node.inputs[slot]?.name} ${shapeText(node, slot)}`,
  );

const quantizedOther = (node: Node): WeightProblem => refuse('already-quantized', `the product is a ${node.op}`);

/** A convolution with a kernel of one element is a product over channels, which are not the last dimension. */
const convolution = (node: Node): WeightProblem => {
  const kernel = constantOf(node.inputs[1])?.shape;
  const [n, k, ...size] = kernel ?? [];
  const groups = intAttribute(node, 'group', 1);
  const kind = size.every((each) => each === 1) ? 'kernel of one element' : `kernel of ${size.join(' x ')}`;
  const problem = refuse(
    'product-form',
    `the product is a ${node.op} with a ${kind}${groups > 1 ? ` in ${groups} groups` : ''}`,
  );
  return n !== undefined && k !== undefined ? { ...problem, shape: [k, n] } : problem;
};

/** Gemm (ONNX Gemm-13): Y = alpha * A . B + beta * C. */
function gemmProblem(node: Node, slot: number): WeightProblem | undefined {
  const [alpha, beta] = [floatAttribute(node, 'alpha', 1), floatAttribute(node, 'beta', 1)];
  if (slot === 0) return leftOperand(node);
  if (intAttribute(node, 'transA', 0) === 1) return refuse('gemm-form', 'the Gemm transposes its input');
  if (alpha !== 1) return refuse('gemm-form', `the Gemm has alpha = ${alpha}`);
  return node.inputs[2] !== undefined && beta !== 1 ? refuse('gemm-form', `the Gemm has beta = ${beta}`) : undefined;
}

function fusedProblem(node: Node, slot: number): WeightProblem | undefined {
  if (slot === 0) return leftOperand(node);
  const moved = ['transA', 'transBatchA', 'transBatchB'].find((name) => intAttribute(node, name, 0) === 1);
  return moved === undefined ? undefined : refuse('gemm-form', `the FusedMatMul has ${moved} = 1`);
}

const leftOperand = (node: Node): WeightProblem =>
  refuse('product-form', `the weight ${node.inputs[0]?.name} ${shapeText(node, 0)} is the left operand of ${node.op}`);

const matMulProblem = (node: Node, slot: number): WeightProblem | undefined =>
  slot === 0 ? leftOperand(node) : undefined;

/** What an equation does with X, in the one slot, and a weight, in the other: labels of X, weight and result. */
function einsumLabels(node: Node, slot: number): { readonly x: string; readonly w: string; readonly y: string } {
  const [inputs = '', y = ''] = stringAttribute(node, 'equation', '').replaceAll(' ', '').split('->');
  const terms = inputs.split(',');
  return { x: terms.length === 2 ? (terms[slot === 0 ? 1 : 0] ?? '') : '', w: terms[slot] ?? '', y };
}

/** Y = X · W or X · Wᵀ: the last label of X is summed with a matrix, and its other label comes last. */
function isPlainEinsum(node: Node, slot: number): boolean {
  const { x, w, y } = einsumLabels(node, slot);
  const [lead, k] = [x.slice(0, -1), x.slice(-1)];
  const n = w.replace(k, '');
  const isMatrixOf = w.length === 2 && n.length === 1 && /^[A-Za-z]$/.test(k) && /^[A-Za-z]$/.test(n);
  return isMatrixOf && y === lead + n && !lead.includes(n) && !lead.includes(k) && lead !== '';
}

/** A stack of matrices when the first label of the weight is kept, and another one too; else one weight of another form. */
function einsumProblem(node: Node, slot: number): WeightProblem | undefined {
  if (isPlainEinsum(node, slot)) return undefined;
  const { w, y } = einsumLabels(node, slot);
  const equation = stringAttribute(node, 'equation', '');
  const kept = [...w].filter((label) => y.includes(label));
  const what = `the weight ${node.inputs[slot]?.name} ${shapeText(node, slot)}`;
  const shape = constantOf(node.inputs[slot])?.shape;
  if (w.length > 2 && kept.length > 1 && kept[0] === w[0])
    return refuse('expert-weights', `${what} holds ${shape?.[0] ?? 'several'} matrices in Einsum ${equation}`);
  return refuse('product-form', `the product is the Einsum ${equation} with ${what}`);
}

const INTEGER: Form = { slots: [1], bare: 1, problem: integer };
const PACKED: Form = { slots: [1], bare: 1, problem: quantized };
const CONVOLUTION: Form = { slots: [1], problem: convolution };
const RECURRENT: Form = { slots: [1, 2], problem: other };
const EXPERTS: Form = { slots: [2], bare: 2, problem: experts };
const OTHER: Form = { slots: [1, 0], problem: other };

const FORMS: Readonly<Record<string, Form>> = {
  MatMul: { slots: [1, 0], bare: 1, problem: matMulProblem },
  Gemm: { slots: [1, 0], bare: 1, transB: 'transB', biasSlot: 2, problem: gemmProblem },
  Einsum: {
    slots: [1, 0, 2],
    problem: einsumProblem,
    flips: (node, slot) => einsumLabels(node, slot).w.endsWith(einsumLabels(node, slot).x.slice(-1)),
  },
  'com.microsoft::FusedMatMul': { slots: [1, 0], bare: 1, transB: 'transB', problem: fusedProblem },
  'com.microsoft::TransposeMatMul': OTHER,
  'com.microsoft::FusedGemm': OTHER,
  'com.microsoft::GemmFastGelu': OTHER,
  'com.microsoft::GemmFloat8': OTHER,
  'com.microsoft::FusedMatMulActivation': OTHER,
  'com.microsoft::SparseToDenseMatMul': OTHER,
  'com.microsoft::MatMulNBits': PACKED,
  'com.microsoft::MatMulBnb4': PACKED,
  'com.microsoft::MatMulFpQ4': PACKED,
  'com.microsoft::DynamicQuantizeMatMul': INTEGER,
  'com.microsoft::MatMulIntegerToFloat': INTEGER,
  'com.microsoft::MatMulInteger16': INTEGER,
  MatMulInteger: INTEGER,
  QLinearMatMul: { slots: [3], bare: 3, problem: integer },
  'com.microsoft::QGemm': { slots: [3], problem: integer },
  'com.microsoft::QAttention': { slots: [1], problem: quantizedOther },
  'com.microsoft::MoE': EXPERTS,
  'com.microsoft::QMoE': EXPERTS,
  'com.microsoft::Attention': { slots: [1], bare: 1, problem: fused },
  Conv: CONVOLUTION,
  ConvTranspose: CONVOLUTION,
  'com.microsoft::FusedConv': CONVOLUTION,
  'com.microsoft::NhwcFusedConv': CONVOLUTION,
  ConvInteger: { slots: [1], problem: quantizedOther },
  QLinearConv: { slots: [3], problem: quantizedOther },
  RNN: RECURRENT,
  LSTM: RECURRENT,
  GRU: RECURRENT,
};

/** Domains whose operators are known: what is not in the table above is no product. */
const KNOWN_DOMAINS: ReadonlySet<string> = new Set(['', 'com.microsoft', 'ai.onnx.ml', 'matquant']);

const unknown = (node: Node, slot: number): WeightProblem =>
  refuse(
    'product-form',
    `the operator ${node.domain}::${node.op} is not known; it reads ${node.inputs[slot]?.name} ${shapeText(node, slot)}`,
  );

const SUMMED: Form = {
  slots: [1, 0],
  problem: (node, slot) =>
    refuse(
      'product-form',
      `Mul and ReduceSum multiply by the weight ${node.inputs[slot]?.name} ${shapeText(node, slot)}`,
    ),
};

/** A Mul that broadcasts a matrix, with a sum as its only reader. */
function isSummed({ op, domain, outputs }: Node): boolean {
  const readers = [...(outputs[0]?.uses ?? [])];
  return (
    op === 'Mul' &&
    domain === '' &&
    readers.length === 1 &&
    readers[0]?.node.op === 'ReduceSum' &&
    readers[0].slot === 0
  );
}

/** The form of a node that could be a product, whatever its weight is. */
export function formOf(node: Node): Form | undefined {
  if (isSummed(node)) return SUMMED;
  const form = FORMS[node.domain === '' ? node.op : `${node.domain}::${node.op}`];
  if (form !== undefined || KNOWN_DOMAINS.has(node.domain)) return form;
  const slots = node.inputs.flatMap((input, slot) => (slot > 0 && isMatrix(constantOf(input)?.shape) ? [slot] : []));
  return slots.length === 0 ? undefined : { slots, problem: unknown };
}

/** True for shapes with two dimensions and more that are larger than 1. */
export const isMatrix = (shape: readonly number[] | undefined): boolean =>
  shape !== undefined && shape.filter((dim) => dim > 1).length >= 2;
