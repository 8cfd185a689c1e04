/**
 * Where the inverse of a learned scale is folded: into the norm in front of a block, so that gate and up read X ⊘ s without any node
 * for it (MatQuant eq. 4). Exact where nobody else reads the norm and its factor is a vector of constants.
 */
import { constantOf } from '../../analysis/constants.js';
import { elementTypeOf } from '../../analysis/element-types.js';
import { isOp, type Node, type Use, type Value } from '../../onnx/ir/graph.js';
import type { TrainBlock } from './block.js';

/** Norms by operator, with the inputs that multiply or shift their result. */
const NORMS: Readonly<Record<string, readonly number[]>> = {
  Mul: [],
  SimplifiedLayerNormalization: [1],
  RMSNormalization: [1],
  LayerNormalization: [1, 2],
  SkipSimplifiedLayerNormalization: [2],
};

/** Nodes that only pass numbers on; the factor's length says that the last dimension stays. */
const PASSING: ReadonlySet<string> = new Set(['Identity', 'Reshape']);

/** Where the inverse goes, one place for each copy of the norm; undefined when it cannot be folded exactly. */
export function foldPlaces({ gate, up }: TrainBlock): readonly Use[] | undefined {
  const readers = new Set([gate, up].flatMap(({ sites }) => sites.map(({ node }) => node)));
  const places = new Map<Node, readonly Use[]>();
  for (const { input } of [gate, up].flatMap(({ sites }) => sites)) {
    const norm = normOf(input, readers);
    const slots = norm && factorsOf(norm, gate.k);
    if (norm === undefined || slots === undefined) return undefined;
    places.set(norm, slots);
  }
  return [...places.values()].flat();
}

/** The node that makes a value of a block, when nobody but the block reads it. */
function normOf(input: Value, readers: ReadonlySet<Node>): Node | undefined {
  let value = input;
  while (value.producer !== undefined && PASSING.has(value.producer.op)) value = value.producer.inputs[0] as Value;
  return staysInside(value, readers) ? value.producer : undefined;
}

function staysInside(value: Value, readers: ReadonlySet<Node>): boolean {
  if (value.isOutput) return false;
  return [...value.uses].every(({ node, slot }) => {
    if (readers.has(node)) return true;
    const [made] = node.outputs;
    return PASSING.has(node.op) && slot === 0 && made !== undefined && staysInside(made, readers);
  });
}

function factorsOf(norm: Node, length: number): readonly Use[] | undefined {
  const slots = norm.op === 'Mul' ? constantFactor(norm, length) : NORMS[norm.op];
  const uses = slots?.filter((slot) => norm.inputs[slot] !== undefined).map((slot): Use => ({ node: norm, slot }));
  if (uses === undefined || uses.length === 0) return undefined;
  const fits = uses.every(({ slot }) => isVector(norm.inputs[slot] as Value, length));
  return fits ? uses : undefined;
}

const constantFactor = (norm: Node, length: number): readonly number[] =>
  [0, 1].filter((slot) => isVector(norm.inputs[slot] as Value, length)).slice(0, 1);

/** True for a float32 vector that is a constant, or 1 + a constant as Gemma writes it. */
function isVector(value: Value, length: number): boolean {
  if (elementTypeOf(value) !== 'float32') return false;
  const tensor = constantOf(value);
  if (tensor !== undefined) return tensor.shape.at(-1) === length && tensor.byteLength === 4 * length;
  const { producer } = value;
  if (producer === undefined || !['Add', 'Cast'].some((op) => isOp(producer, op))) return false;
  const parts = producer.inputs.map(constantOf);
  return parts.every((part) => part !== undefined) && parts.some((part) => part?.shape.at(-1) === length);
}
